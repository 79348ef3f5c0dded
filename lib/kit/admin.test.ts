// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
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
