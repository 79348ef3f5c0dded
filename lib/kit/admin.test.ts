// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { json, serveHttp, text } from './admin.ts';

test('routes are exact, or prefixes when they end in a slash; the rest is 404, a throw 500', async () => {
  await using server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    routes: {
      '/ready': () => text('ready\n'),
      '/debug/': ({ path, query }) => json({ path, level: query.get('level') }),
      '/echo': ({ method, body }) => text(`${method} ${body}`),
      '/broken': () => {
        throw new Error('no state yet');
      },
    },
  });
  const get = async (path: string, init?: RequestInit): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, init);
    return [response.status, await response.text()];
  };
  assert.deepEqual(await get('/ready'), [200, 'ready\n']);
  assert.deepEqual(JSON.parse((await get('/debug/x?level=info'))[1]), { path: '/debug/x', level: 'info' });
  assert.deepEqual(await get('/echo', { method: 'POST', body: 'hi' }), [200, 'POST hi']);
  assert.deepEqual(await get('/broken'), [500, 'no state yet\n']);
  assert.equal((await get('/nothing'))[0], 404);
});

test('a compressible answer is sent as the asker takes it, zstd before gzip, and plain to who takes neither', async () => {
  const body = 'metric 1\n'.repeat(1000);
  await using server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    routes: { '/metrics': () => ({ body, compressible: true }) },
  });
  const get = (accepted: string): Promise<{ encoding: string | undefined; bytes: Buffer }> =>
    new Promise((resolve, reject) => {
      const asked = request(
        { port: server.port, path: '/metrics', headers: { 'accept-encoding': accepted } },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('end', () =>
            resolve({ encoding: answer.headers['content-encoding'], bytes: Buffer.concat(chunks) }),
          );
        },
      );
      asked.on('error', reject).end();
    });
  const both = await get('gzip, deflate, zstd');
  assert.equal(both.encoding, 'zstd');
  assert.equal(zstdDecompressSync(both.bytes).toString(), body);
  const older = await get('gzip;q=1.0, zstd;q=0.5');
  assert.equal(older.encoding, 'gzip');
  assert.equal(gunzipSync(older.bytes).toString(), body);
  for (const none of ['', 'identity', 'br', 'gzip;q=0, zstd;q=0']) {
    const plain = await get(none);
    assert.deepEqual([plain.encoding, plain.bytes.toString()], [undefined, body]);
  }
});
