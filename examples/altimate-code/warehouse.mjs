// A small data warehouse in memory, and the tools that an agent has for it. One thing is wrong in it.
import { setTimeout as pause } from "node:timers/promises";

const days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** A week of orders of three stores; on Tuesday nothing came from store 3 after noon. */
const orders = days
  .flatMap((day, n) =>
    Array.from({ length: 600 }, (_, order) => ({
      day,
      hour: 8 + Math.floor(order / 50),
      store: 1 + (order % 3),
      amount: 20 + ((order * 7 + n * 13) % 31),
    })),
  )
  .filter(({ day, hour, store }) => !(day === "Tue" && store === 3 && hour >= 12));

const columns = Object.keys(orders[0]);

/** What each tool answers, and what is worth knowing about its work: attributes of the tool's span. */
export const tools = {
  async describe_table({ table }) {
    return { output: { table, rows: orders.length, columns }, attributes: { "de.table": table } };
  },

  async sum_by_day({ column }) {
    if (!columns.includes(column)) {
      throw new Error(`column "${column}" does not exist; there are ${columns.join(", ")}`);
    }
    const sums = days.map((day) => [
      day,
      orders.filter((order) => order.day === day).reduce((sum, order) => sum + order[column], 0),
    ]);
    const attributes = {
      "de.sql.query": `SELECT day, sum(${column}) FROM orders GROUP BY day`,
      "de.rows_scanned": orders.length,
      "de.lineage": [`orders.${column}`, "orders.day"],
    };
    return { output: Object.fromEntries(sums), attributes };
  },

  async find_gaps({ day, rows }) {
    // A full scan takes its time. Nobody will wait for it in this example.
    if (rows === "all") await pause(60_000);
    const stores = [1, 2, 3].map((store) => {
      const hours = orders
        .filter((order) => order.day === day && order.store === store)
        .map(({ hour }) => hour);
      return { store, last_order: `${Math.max(...hours)}:59` };
    });
    return { output: stores, attributes: { "de.rows_scanned": rows === "all" ? orders.length : 100 } };
  },
};

/** What the model does: in each step it says something and calls tools. A real one would be asked. */
export function scriptFor(interruptedTool) {
  const look = [
    { text: "I look at the table first.", calls: [["describe_table", { table: "orders" }]] },
    { text: "Revenue by day, then.", calls: [["sum_by_day", { column: "revenue" }]] },
    { text: "The column is called amount.", calls: [["sum_by_day", { column: "amount" }]] },
    { text: "Tuesday is low. I look for gaps in it.", calls: [["find_gaps", { day: "Tue", rows: "all" }]] },
  ];
  const goOn = [
    {
      text: `My ${interruptedTool} was interrupted. A sample will do.`,
      calls: [
        ["find_gaps", { day: "Tue", rows: "sample" }],
        ["find_gaps", { day: "Wed", rows: "sample" }],
      ],
    },
  ];
  const answer = {
    text: "Store 3 sent nothing on Tuesday after noon: its load has to run again.",
    calls: [],
  };
  return [...(interruptedTool ? goOn : look), answer];
}
