// SPDX-License-Identifier: Apache-2.0
// What the main process counts of its stream from the control plane.
import type { Exposition } from './exposition.ts';

export class XdsCounts {
  readonly #exposition: Exposition;
  readonly #values = new Map<string, number>();
  #connected = false;

  constructor(exposition: Exposition) {
    this.#exposition = exposition;
  }

  /** One response of a type. */
  message(url: string, resources: readonly { readonly value: Uint8Array }[]): void {
    let bytes = 0;
    for (const { value } of resources) bytes += value.length;
    this.#add('istio_xds_message_total', { url }, 1);
    this.#add('istio_xds_message_bytes_total', { url }, bytes);
  }

  /** The stream was established, or ended. */
  connection(connected: boolean): void {
    if (this.#connected && !connected) this.#add('istio_xds_connection_terminations_total', { reason: 'Reconnect' }, 1);
    this.#connected = connected;
  }

  #add(name: string, labels: Readonly<Record<string, string>>, amount: number): void {
    const key = `${name}${JSON.stringify(labels)}`;
    const known = this.#values.get(key);
    if (known === undefined) this.#exposition.value(name, labels, () => this.#values.get(key) ?? 0);
    this.#values.set(key, (known ?? 0) + amount);
  }
}
