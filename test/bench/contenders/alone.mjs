/** The application alone: what its own spans and the loop of the bench cost, to be taken off the others. */
export default {
  name: "alone",
  title: "the application alone",
  open: () => ({ end() {}, flush: async () => {} }),
  survivors: () => 0,
};
