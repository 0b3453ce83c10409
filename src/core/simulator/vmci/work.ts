/** What a kernel has put off: delayed callbacks, interrupts. Data that whoever owns the simulated host lets happen. */

export class Work {
  #tasks: (() => void)[] = [];
  #next = 0;

  get busy(): boolean {
    return this.#next < this.#tasks.length;
  }

  add(task: () => void): void {
    this.#tasks.push(task);
  }

  /** Does up to `budget` tasks, the oldest first. True when there are more. */
  run(budget: number): boolean {
    for (let left = budget; left > 0 && this.busy; left--) {
      const task = this.#tasks[this.#next++];
      if (!this.busy) {
        this.#tasks = [];
        this.#next = 0;
      }
      task?.();
    }
    return this.busy;
  }
}
