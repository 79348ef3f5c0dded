// SPDX-License-Identifier: Apache-2.0
//
// Hosts by how specific they are: the name itself, the longest `*.suffix`, then `*`.

export class HostIndex<T> {
  readonly #exact = new Map<string, T>();
  /** By `.suffix`. */
  readonly #suffixes = new Map<string, T>();
  #any: T | undefined;
  readonly #exclusive: boolean;

  /** @param exclusive the most specific host alone is asked */
  constructor(exclusive: boolean) {
    this.#exclusive = exclusive;
  }

  add(host: string, value: T): void {
    if (host === '*') this.#any = value;
    else if (host.startsWith('*.')) this.#suffixes.set(host.slice(1), value);
    else this.#exact.set(host, value);
  }

  /** Whether the host is not in question: there is `*` and nothing else. */
  get only(): T | undefined {
    return this.#exact.size + this.#suffixes.size === 0 ? this.#any : undefined;
  }

  /**
   * The first answer of the hosts that fit, most specific first.
   * @param host lower case, without port
   */
  find<R>(host: string, ask: (value: T) => R | undefined): R | undefined {
    const exact = this.#exact.get(host);
    if (exact !== undefined) {
      const answer = ask(exact);
      if (answer !== undefined || this.#exclusive) return answer;
    }
    if (this.#suffixes.size > 0) {
      // `*.x` stands for at least one label before x.
      for (let dot = host.indexOf('.'); dot > 0; dot = host.indexOf('.', dot + 1)) {
        const value = this.#suffixes.get(host.slice(dot));
        if (value === undefined) continue;
        const answer = ask(value);
        if (answer !== undefined || this.#exclusive) return answer;
      }
    }
    return this.#any === undefined ? undefined : ask(this.#any);
  }
}
