/** A clock that a test moves. */
export class HandClock {
  #now = 0;
  #due = [];
  #epoch = Date.now();
  now = () => this.#epoch + this.#now;
  monotonic = () => this.#now;

  after(millis, run, every = 0) {
    const timer = { at: this.#now + millis, run, every };
    this.#due.push(timer);
    return { cancel: () => this.#due.splice(this.#due.indexOf(timer) >>> 0, 1) };
  }

  every = (millis, run) => this.after(millis, run, millis);

  /** @param settle awaited after each timer, so that its work needs no simulated time */
  async pass(millis, settle) {
    const until = this.#now + millis;
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      if (next.every > 0) next.at += next.every;
      else this.#due.splice(this.#due.indexOf(next), 1);
      next.run();
      await settle();
    }
    this.#now = until;
  }
}
