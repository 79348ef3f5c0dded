// SPDX-License-Identifier: Apache-2.0
// The connections that the shop's front keeps to the services behind it. Retired as a whole: they end once the last
// request on them is answered, and nobody notices.
import { Agent, get } from 'node:http';
import { type PriceClient, priceClient, type Quote } from './price.ts';

export class Upstreams {
  readonly #catalog: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #prices: PriceClient;
  #busy = 0;
  #retired = false;

  constructor(catalog: string, price: string) {
    this.#catalog = catalog;
    this.#prices = priceClient(price);
  }

  items(): Promise<unknown> {
    const asked = new Promise<unknown>((resolve, reject) => {
      get(`http://${this.#catalog}/items`, { agent: this.#agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject).on('end', () => resolve(JSON.parse(text)));
      }).on('error', reject);
    });
    return this.#count(asked);
  }

  quote(item: string): Promise<Quote> {
    const asked = new Promise<Quote>((resolve, reject) => {
      this.#prices.Get({ item }, (error, answer) => (error === null ? resolve(answer!) : reject(error)));
    });
    return this.#count(asked);
  }

  /** Takes no new request from now on, and ends its connections when they are idle. */
  retire(): void {
    this.#retired = true;
    this.#endWhenIdle();
  }

  async #count<T>(asked: Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await asked;
    } finally {
      this.#busy--;
      this.#endWhenIdle();
    }
  }

  #endWhenIdle(): void {
    if (!this.#retired || this.#busy > 0) return;
    this.#agent.destroy();
    this.#prices.close();
  }
}
