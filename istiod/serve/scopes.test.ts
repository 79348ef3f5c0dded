// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { serveHttp } from '#lib/kit/admin.ts';
import { createLogger } from '#lib/kit/log.ts';
import { scopePages } from './scopes.ts';

test('log levels are shown and changed while istiod runs, for one scope or all', async () => {
  const lines: string[] = [];
  const log = createLogger({ scope: 'istiod', level: 'info', write: (line) => lines.push(line) });
  const ads = log.child('ads');
  await using server = await serveHttp({ host: '127.0.0.1', port: 0, routes: scopePages(log) });
  const ask = (path: string, level?: string) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, {
      ...(level !== undefined && { method: 'PUT', body: JSON.stringify({ output_level: level }) }),
    });
  const levels = async () => {
    const all = (await (await ask('/scopej/')).json()) as { name: string; output_level: string }[];
    return Object.fromEntries(all.map(({ name, output_level }) => [name, output_level]));
  };
  ads.debug('unheard');
  equal((await ask('/scopej/ads', 'debug')).status, 202);
  ads.debug('heard');
  deepEqual([(await levels())['ads'], (await levels())['ca'], (await levels())['default']], ['debug', 'info', 'info']);
  equal((await ask('/scopej/default', 'none')).status, 202);
  ads.error('unheard again');
  equal((await levels())['ads'], 'none');
  equal(lines.filter((line) => line.includes('heard')).length, 1);
  const one = (await (await ask('/scopej/ca')).json()) as { name: string; description: string };
  match(`${one.name}: ${one.description}`, /^ca: certificates/);
});

test('a scope that is not there, and a level that is none, are refused with what there is', async () => {
  const log = createLogger({ scope: 'istiod', level: 'info', write: () => undefined });
  await using server = await serveHttp({ host: '127.0.0.1', port: 0, routes: scopePages(log) });
  const at = (name: string) => `http://127.0.0.1:${server.port}/scopej/${name}`;
  for (const name of ['nothing', 'toString']) equal((await fetch(at(name))).status, 404);
  for (const body of ['{"output_level":"loud"}', '{', 'null']) {
    const refused = await fetch(at('ads'), { method: 'PUT', body });
    equal(refused.status, 400);
    match(await refused.text(), /none, error, warn, info, debug, trace/);
  }
  equal(log.levels(), 'info');
});
