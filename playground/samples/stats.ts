// SPDX-License-Identifier: Apache-2.0
// What the shopper counts, by kind of traffic. A connection that ends without the shopper's wish counts as broken.

export const KINDS = ['short', 'keepalive', 'grpc', 'tcp'] as const;
export type Kind = (typeof KINDS)[number];

export interface Tally {
  ok: number;
  failed: number;
  /** Long-lived connections opened so far. */
  opened: number;
  broken: number;
}

export class Stats {
  readonly tallies: Record<Kind, Tally>;
  /** The first failures, as text: enough to see a pattern, bounded in memory. */
  readonly failures: string[] = [];

  constructor() {
    const tally = (): Tally => ({ ok: 0, failed: 0, opened: 0, broken: 0 });
    this.tallies = { short: tally(), keepalive: tally(), grpc: tally(), tcp: tally() };
  }

  ok(kind: Kind): void {
    this.tallies[kind].ok++;
  }

  opened(kind: Kind): void {
    this.tallies[kind].opened++;
  }

  failed(kind: Kind, error: unknown): void {
    this.tallies[kind].failed++;
    this.#note(kind, error);
  }

  broken(kind: Kind, error: unknown): void {
    this.tallies[kind].broken++;
    this.#note(kind, error);
  }

  #note(kind: Kind, error: unknown): void {
    const line = {
      time: new Date().toISOString(),
      kind,
      error: error instanceof Error ? error.message : String(error),
    };
    console.log(JSON.stringify(line));
    if (this.failures.length < 100) this.failures.push(`${line.time} ${kind}: ${line.error}`);
  }
}
