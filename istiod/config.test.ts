// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress, parseArguments, readConfig } from './config.ts';

const none = () => undefined;

test("Istio's own flags are understood", () => {
  const argv = [
    'discovery',
    '--monitoringAddr=:15014',
    '--log_output_level=default:debug',
    '--domain',
    'cluster.local',
  ];
  const { command, flags } = parseArguments([...argv, '--keepaliveMaxServerConnectionAge', '30m']);
  equal(command, 'discovery');
  const config = readConfig(flags, none);
  deepEqual(config.monitoringAddress, { host: '::', port: 15014 });
  equal(config.logLevel, 'debug');
  equal(config.maxConnectionAgeMs, 1_800_000);
  equal(config.clusterId, 'Kubernetes');
});

test('every wrong setting is reported together, by name', () => {
  const env: Record<string, string> = {
    PILOT_DEBOUNCE_AFTER: '5',
    CA_TRUSTED_NODE_ACCOUNTS: 'ztunnel',
    XDS_AUTH: 'maybe',
    DEFAULT_WORKLOAD_CERT_TTL: '9999h',
  };
  throws(
    () => readConfig({ httpAddr: 'nowhere', log_output_level: 'default:loud' }, (name) => env[name]),
    (error: Error) =>
      ['--httpAddr', '--log_output_level', ...Object.keys(env)].every((name) => error.message.includes(name)),
  );
});

test('an unknown flag is named', () => {
  throws(() => parseArguments(['discovery', '--colour']), /--colour/);
});

test('addresses with and without host, and IPv6', () => {
  deepEqual(parseAddress(':8080'), { host: '::', port: 8080 });
  deepEqual(parseAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
  deepEqual(parseAddress('[::1]:15012'), { host: '::1', port: 15012 });
  equal(parseAddress('8080'), undefined);
  equal(parseAddress(':99999'), undefined);
});

test('help is text, not an error', () => {
  const { command, output } = parseArguments(['--help']);
  equal(command, 'help');
  equal(output.includes('discovery'), true);
});
