// SPDX-License-Identifier: Apache-2.0
// Rolling restarts under load: of the servers behind a waypoint, and of the waypoint itself.
import assert from 'node:assert/strict';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '#lib/testkit/until.ts';
import { backendOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

/** Clients that ask one thing after another, each on a connection that stays. */
const CLIENTS = 16;
const ENDPOINTS = 3;

/** A server on an address of loopback that can be ended in good order and begun again. */
class Backend {
  readonly #host: string;
  #server: Server | undefined;
  port = 0;

  constructor(host: string) {
    this.#host = host;
  }

  async start(): Promise<void> {
    const server: Server = createServer((_, response) => {
      setTimeout(() => {
        if (server !== this.#server) response.setHeader('connection', 'close');
        response.end('ok');
      }, 1);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.port, this.#host, resolve);
    });
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** As servers do on SIGTERM: takes nothing new, closes what is idle, finishes what it has begun. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  }
}

async function withBackends(run: (backends: readonly Backend[]) => Promise<void>): Promise<void> {
  const backends = Array.from({ length: ENDPOINTS }, (_, i) => new Backend(`127.0.0.${i + 1}`));
  try {
    for (const backend of backends) await backend.start();
    await run(backends);
  } finally {
    for (const backend of backends) await backend.stop();
  }
}

function start(backends: readonly Backend[]): Promise<WaypointProgram> {
  return WaypointProgram.start(
    {
      services: [{ name: 'app', ports: backends.map(({ port }) => port) }],
      routes: [{ rule: { backends: [backendOf('app')] } }],
    },
    { TERMINATION_DRAIN_DURATION: '120s' },
  );
}

/** GET again and again, until `stop`. Where to is asked anew for each request; a place that takes no connection is left for another. */
class Load implements AsyncDisposable {
  answered = 0;
  readonly lost: string[] = [];
  readonly #places: () => readonly string[];
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(places: () => readonly string[]) {
    this.#places = places;
    this.#running = Array.from({ length: CLIENTS }, (_, i) => this.#client(i));
  }

  async more(count: number): Promise<void> {
    const wanted = this.answered + count;
    await until(`${count} more answers`, () => this.answered >= wanted || this.lost.length > 0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #client(index: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let n = index; !this.#stopped; n++) {
      const places = this.#places();
      const reason = await ask(places[n % places.length]!, agent);
      if (reason === '') this.answered++;
      else if (reason === 'ECONNREFUSED') await delay(1);
      else this.lost.push(reason);
    }
    agent.destroy();
  }
}

/** '' for an answer, else why there was none. */
function ask(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const asked = request(url, { agent, timeout: 60_000 }, (response) => {
      response
        .on('error', (error) => resolve(error.message))
        .on('end', () => resolve(response.statusCode === 200 ? '' : `status ${response.statusCode}`));
      response.resume();
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
    asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message)).end();
  });
}

test('a rolling restart of the servers loses no idempotent request', async () => {
  await withBackends(async (backends) => {
    await using program = await start(backends);
    await using load = new Load(() => [program.url()]);
    await load.more(200);
    for (let round = 0; round < 3; round++) {
      for (const backend of backends) {
        await backend.stop();
        await load.more(100);
        await backend.start();
        // The next one goes when this one is known to be there again.
        await load.more(300);
      }
    }
    await load.stop();
    const told = program.records.filter((record) => record['response_code'] !== 200).slice(0, 3);
    const said = program.output.split('\n').filter((line) => /\t(warn|error)\t/.test(line));
    assert.deepEqual(load.lost, [], `${JSON.stringify(told)} ${said.join('\n')}`);
  });
});

test('a rolling restart of the waypoint loses no idempotent request', async () => {
  await withBackends(async (backends) => {
    const programs = [await start(backends), await start(backends)];
    try {
      let places = programs.map((program) => program.url());
      await using load = new Load(() => places);
      await load.more(200);
      for (let i = 0; i < programs.length; i++) {
        const next = await start(backends);
        const old = programs[i]!;
        // Clients learn of the end later than it begins.
        const ended = old.end();
        await load.more(100);
        programs[i] = next;
        places = programs.map((program) => program.url());
        assert.equal(await ended, 0, old.output);
        await old.stop();
        await load.more(100);
      }
      await load.stop();
      assert.deepEqual(load.lost, []);
    } finally {
      for (const program of programs) await program.stop();
    }
  });
});
