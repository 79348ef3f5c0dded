// SPDX-License-Identifier: Apache-2.0
// What the main process asks its data-plane processes: each answers in one or more parts, and one that does not answer in time is left out.
interface Question {
  readonly found: unknown[];
  /** Indexes of processes that have not said their last. */
  readonly open: Set<number>;
  readonly done: PromiseWithResolvers<void>;
}

export class Questions {
  readonly #asked = new Map<number, Question>();
  #requests = 0;

  /** What the processes by those indexes answer; `ask` sends them the number of the request. */
  async ask(from: readonly number[], timeoutMs: number, ask: (request: number) => void): Promise<unknown[]> {
    const request = ++this.#requests;
    const question: Question = { found: [], open: new Set(from), done: Promise.withResolvers() };
    if (question.open.size === 0) return [];
    this.#asked.set(request, question);
    ask(request);
    const timer = setTimeout(() => question.done.resolve(), timeoutMs);
    await question.done.promise;
    clearTimeout(timer);
    this.#asked.delete(request);
    return question.found;
  }

  /** A part of an answer, maybe the last. */
  answered(index: number, request: number, part: readonly unknown[], last: boolean): void {
    const question = this.#asked.get(request);
    if (question === undefined) return;
    question.found.push(...part);
    if (last) finish(question, index);
  }

  /** That process answers nothing any more. */
  gone(index: number): void {
    for (const question of this.#asked.values()) finish(question, index);
  }
}

function finish(question: Question, index: number): void {
  question.open.delete(index);
  if (question.open.size === 0) question.done.resolve();
}
