/**
 * The application alone: the cost of its own spans and of the loop of the bench, which is subtracted from the other
 * contenders.
 */
export default {
  name: "alone",
  title: "the application alone",
  open: () => ({ end() {}, flush: async () => {} }),
  survivors: () => 0,
};
