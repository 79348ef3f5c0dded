// SPDX-License-Identifier: Apache-2.0
// A real API server (the playground's) inside a test process, on a free port of the loopback, in a folder of its own.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { type RunningApi, startApi } from '../../playground/api/app.ts';
import type { JsonObject } from '../../playground/api/json.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: JsonObject;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Calls with this bearer token instead of the admin's certificate. */
  readonly token?: string;
}

export class TestApi {
  readonly #dir: string;
  readonly #disk: boolean;
  #api!: RunningApi;
  #admin!: Agent;

  private constructor(dir: string, disk: boolean) {
    this.#dir = dir;
    this.#disk = disk;
  }

  /** `disk`: keep objects in a write-ahead log, so that `restart` finds them. */
  static async start({ disk = false } = {}): Promise<TestApi> {
    const api = new TestApi(mkdtempSync(join(tmpdir(), `ambit-api-${process.pid}-`)), disk);
    await api.#open();
    return api;
  }

  get kubeconfig(): string {
    return this.#api.kubeconfig;
  }

  /** Stops the server and starts it again over the same folder, on another port. */
  async restart(): Promise<void> {
    this.#admin.destroy();
    await this.#api.close();
    await this.#open();
  }

  async close(): Promise<void> {
    this.#admin.destroy();
    await this.#api.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** One request; the answer whatever its status. */
  call(method: string, path: string, { body, headers = {}, token }: CallOptions = {}): Promise<Answer> {
    const agent = token === undefined ? this.#admin : new Agent({ ca: this.#api.pki.caCert });
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    const length = { 'content-length': String(Buffer.byteLength(text)) };
    return new Promise((resolve, reject) => {
      const sent = request(
        `${this.#api.url}${path}`,
        { method, agent, headers: { 'content-type': type, ...length, ...authorization, ...headers } },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const answer = Buffer.concat(chunks).toString('utf8');
            const parsed = answer.startsWith('{') ? (JSON.parse(answer) as JsonObject) : { text: answer };
            if (token !== undefined) agent.destroy();
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed });
          });
        },
      );
      sent.on('error', reject);
      sent.end(text);
    });
  }

  /** A request that has to succeed. */
  async ok(method: string, path: string, options: CallOptions = {}): Promise<JsonObject> {
    const { status, body } = await this.call(method, path, options);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** The first `count` events of a watch, as `[type, object]`, then the watch is closed. */
  watch(path: string, count: number): Promise<[string, JsonObject][]> {
    return new Promise((resolve, reject) => {
      const events: [string, JsonObject][] = [];
      const sent = request(`${this.#api.url}${path}`, { agent: this.#admin }, (response) => {
        let rest = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) {
            const event = JSON.parse(line) as { type: string; object: JsonObject };
            events.push([event.type, event.object]);
          }
          if (events.length < count) return;
          resolve(events);
          sent.destroy();
        });
        response.on('end', () => reject(new Error(`the watch ended after ${events.length} events: ${rest}`)));
      });
      sent.on('error', (error) => (events.length < count ? reject(error) : undefined));
      sent.setTimeout(60_000, () =>
        sent.destroy(new Error(`${events.length} of ${count} events came within a minute`)),
      );
      sent.end();
    });
  }

  async #open(): Promise<void> {
    const log = createLogger({ scope: 'api', level: 'off' });
    this.#api = await startApi(
      {
        listen: { host: '127.0.0.1', port: 0 },
        data: this.#dir,
        memory: !this.#disk,
        advertise: undefined,
        names: [],
        serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'],
        clusterNetwork: undefined,
        auditLog: undefined,
        logLevel: 'off',
      },
      { clock: systemClock, log },
    );
    const config = JSON.parse(readFileSync(this.#api.kubeconfig, 'utf8'));
    const { user } = config.users[0];
    this.#admin = new Agent({
      keepAlive: true,
      ca: this.#api.pki.caCert,
      cert: Buffer.from(user['client-certificate-data'], 'base64'),
      key: Buffer.from(user['client-key-data'], 'base64'),
    });
  }
}
