// SPDX-License-Identifier: Apache-2.0
// The access log's own line, as text in Envoy's order and as JSON under Istio's names, written by the program.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, type TestConfig, WaypointProgram } from '#lib/testkit/waypoint.ts';

const server = createServer((request, response) => {
  request.resume().on('end', () => response.end('answer'));
});
const programs: WaypointProgram[] = [];
let config: TestConfig;

before(async () => {
  const port = await listenAnywhere(server);
  config = { services: [{ name: 'app', ports: [port] }], routes: [{ rule: { backends: [backendOf('app')] } }] };
});
after(async () => {
  for (const program of programs) await program.stop();
  server.close().closeAllConnections();
});

async function askedOf(format: 'text' | 'json'): Promise<WaypointProgram> {
  const program = await WaypointProgram.start(config, { AMBIT_ACCESS_LOG: format });
  programs.push(program);
  const headers = { 'user-agent': 'test', 'x-forwarded-for': '192.0.2.1', 'x-request-id': 'id-1' };
  await (await fetch(program.url('/a?b'), { method: 'POST', body: 'content', headers })).text();
  return program;
}

test('text: Envoy’s fields in Envoy’s order', async () => {
  const program = await askedOf('text');
  const line = await until('the line', () => program.output.split('\n').find((one) => one.includes('POST /a?b')));
  const time = String.raw`\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]`;
  const place = String.raw`127\.0\.0\.1:\d+`;
  const request = String.raw`"POST /a\?b HTTP/1\.1" 200 - via_upstream - "-" \d+ \d+ \d+ \d+`;
  const said = String.raw`"192\.0\.2\.1" "test" "id-1" "${place}"`;
  const path = String.raw`"${place}" \S+ ${place} ${place} ${place} - r0`;
  assert.match(line, new RegExp(`^${time} ${request} ${said} ${path}`));
});

test('JSON: a value under each of Istio’s names', async () => {
  const program = await askedOf('json');
  const record = await program.record('/a?b');
  const names = [
    ...['start_time', 'route_name', 'method', 'path', 'protocol', 'response_code', 'response_flags'],
    ...['response_code_details', 'connection_termination_details', 'bytes_received', 'bytes_sent', 'duration'],
    ...['upstream_service_time', 'x_forwarded_for', 'user_agent', 'request_id', 'authority', 'upstream_host'],
    ...['upstream_cluster', 'upstream_local_address', 'downstream_local_address', 'downstream_remote_address'],
    ...['requested_server_name', 'upstream_transport_failure_reason'],
  ];
  assert.deepEqual(
    names.filter((name) => !(name in record)),
    [],
  );
  assert.deepEqual(
    [record['method'], record['response_code'], record['x_forwarded_for'], record['user_agent'], record['request_id']],
    ['POST', 200, '192.0.2.1', 'test', 'id-1'],
  );
  assert.match(String(record['start_time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});
