// The pauses between attempts to connect. Pure.

/** Exponential backoff with jitter. A full server is asked much less often than one that is away. */
class Backoff {
  constructor() {
    this.reset();
  }

  reset() {
    this.isFull = false;
    this.pause = PAUSE_FIRST;
  }

  /** Takes note of whether the last attempt found the server full. A change starts the pauses anew. */
  setFull(isFull) {
    if (isFull === this.isFull) return;
    this.isFull = isFull;
    this.pause = isFull ? PAUSE_FIRST_FULL : PAUSE_FIRST;
  }

  /**
   * Returns the next pause. `random`, of 0 to 1, spreads the pages of a restarted server over half of it. `lostFor` is
   * the time since the page had a seat: it is quick while the seat may be kept.
   */
  next(random, lostFor = Infinity) {
    const max = lostFor < SEAT_KEPT && !this.isFull ? SEAT_PAUSE_MAX : Infinity;
    const pause = Math.min(max, this.pause * (0.5 + 0.5 * random));
    this.pause = doubled(this.pause, this.isFull ? PAUSE_MAX_FULL : PAUSE_MAX);
    return pause;
  }
}

const doubled = (pause, max) => Math.min(2 * pause, max);
