// SPDX-License-Identifier: Apache-2.0
// The published HTTP/2 conformance suite against our engine's server and against the waypoint, in clear text. The frame size is HTTP/2's
// default here, for the suite takes it for granted; all other settings are those of HBONE's server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { H2TcpServer } from '#lib/testkit/h2-tcp-server.ts';
import { backendOf, WaypointProgram } from '#lib/testkit/waypoint.ts';
import { HBONE_SERVER } from '#lib/wire/h2/settings.ts';

const run = promisify(execFile);
const bin = join(import.meta.dirname, '../../.cache/bin');
const VERSION = 'v2.2.1+incompatible';

/** Path of h2spec; built by Go's tool chain if it is not there yet. */
async function h2spec(): Promise<string> {
  const path = join(bin, 'h2spec');
  if (existsSync(path)) return path;
  mkdirSync(bin, { recursive: true });
  const env = { ...process.env, GOBIN: bin, GOFLAGS: '-mod=mod' };
  await run('go', ['install', `github.com/summerwind/h2spec/cmd/h2spec@${VERSION}`], { env, timeout: 300_000 });
  return path;
}

test('h2spec --strict passes against the HTTP/2 server', { timeout: 400_000 }, async () => {
  const server = new H2TcpServer({ ...HBONE_SERVER, maxFrameSize: 16_384 });
  try {
    await passes(await server.listen());
  } finally {
    await server.close();
  }
});

test('h2spec --strict passes against the waypoint', { timeout: 400_000 }, async () => {
  // Answers when it has the whole request, so that what is wrong with its end is judged before an answer.
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end('a small answer\n'));
  });
  await new Promise<void>((done) => server.listen(0, '0.0.0.0', done));
  try {
    await using waypoint = await WaypointProgram.start({
      services: [{ name: 'app', ports: [(server.address() as AddressInfo).port] }],
      routes: [{ rule: { backends: [backendOf('app')] } }],
    });
    await passes(waypoint.port());
  } finally {
    server.close().closeAllConnections();
  }
});

async function passes(port: number): Promise<void> {
  const program = await h2spec();
  const options = ['--strict', '-h', '127.0.0.1', '-p', String(port), '-o', '20'];
  const { stdout } = await run(program, options, { timeout: 300_000, maxBuffer: 16 << 20 }).catch(
    (error: Error & { stdout?: string }) => ({ stdout: `${error.stdout ?? ''}\n${error.message}` }),
  );
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(stdout);
  assert.ok(summary, `h2spec did not finish:\n${stdout}`);
  const [total = 0, passed, skipped, failed] = summary.slice(1).map(Number);
  const failures = stdout.slice(stdout.indexOf('Failures:'));
  assert.deepEqual({ passed, skipped, failed }, { passed: total, skipped: 0, failed: 0 }, failures);
  assert.ok(total >= 140, `only ${total} cases ran`);
}
