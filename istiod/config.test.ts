// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { type IstiodConfig, readConfig } from './config.ts';
import { parseArguments } from './settings/arguments.ts';
import { parseAddress } from './settings/given.ts';

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
    TRUSTED_GATEWAY_CIDR: '10.0.0.0/99',
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

test('switches of Istio’s environment count, and without them its defaults', () => {
  const switches: readonly (readonly [string, keyof IstiodConfig, boolean])[] = [
    ['AMBIENT_ENABLE_STATUS', 'writeStatus', true],
    ['PILOT_AUTO_ALLOW_WAYPOINT_POLICY', 'autoAllowWaypoints', false],
    ['AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY', 'dryRunPolicies', false],
    ['PILOT_ENABLE_IP_AUTOALLOCATE', 'giveAddresses', true],
    ['PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES', 'servicesSelectEntries', true],
    ['PILOT_ENABLE_SERVICEENTRY_SELECT_PODS', 'entriesSelectPods', true],
    ['PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION', 'registerMachines', true],
    ['PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER', 'deployGateways', true],
    ['PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER', 'createGatewayClasses', true],
    ['XDS_AUTH', 'authenticate', true],
    ['XDS_AUTH_PLAINTEXT', 'authenticatePlaintext', false],
    ['PILOT_ENABLE_XDS_IDENTITY_CHECK', 'checkNodeIdentity', true],
    ['USE_CACERTS_FOR_SELF_SIGNED_CA', 'rootInPluggedSecret', false],
    ['ENABLE_CLUSTER_TRUST_BUNDLE_API', 'writeTrustBundle', false],
  ];
  for (const [name, field, fallback] of switches) {
    equal(readConfig({}, none)[field], fallback, `${name} by default`);
    equal(readConfig({}, (asked) => (asked === name ? String(!fallback) : undefined))[field], !fallback, name);
  }
});

test('times and names of Istio’s environment count, and without them its defaults', () => {
  const of = (env: Record<string, string> = {}) => readConfig({}, (name) => env[name]);
  const fallback = of();
  equal(fallback.defaultCertificateTtlMs, 24 * 3_600_000);
  equal(fallback.maxCertificateTtlMs, 90 * 24 * 3_600_000);
  equal(fallback.rootTtlMs, 3650 * 24 * 3_600_000);
  deepEqual([fallback.rootCheckMs, fallback.rootGracePercent], [3_600_000, 20]);
  deepEqual(
    [fallback.debounceMaxMs, fallback.registrationGraceMs, fallback.remotePatienceMs],
    [10_000, 10_000, 30_000],
  );
  deepEqual([fallback.rootConfigMap, fallback.crlConfigMap], ['istio-ca-root-cert', 'istio-ca-crl']);
  deepEqual([...fallback.trustedNodeAccounts, ...fallback.tokenAudiences], ['istio-system/ztunnel', 'istio-ca']);
  const given = of({
    ...{ DEFAULT_WORKLOAD_CERT_TTL: '1h', MAX_WORKLOAD_CERT_TTL: '2h', PILOT_CA_CERT_CONFIGMAP: 'roots' },
    ...{ TOKEN_AUDIENCES: 'a,b', CA_TRUSTED_NODE_ACCOUNTS: 'x/y,x/z', PILOT_REMOTE_CLUSTER_TIMEOUT: '5s' },
  });
  deepEqual([given.defaultCertificateTtlMs, given.maxCertificateTtlMs], [3_600_000, 7_200_000]);
  deepEqual([given.rootConfigMap, given.remotePatienceMs], ['roots', 5_000]);
  deepEqual([...given.trustedNodeAccounts, ...given.tokenAudiences], ['x/y', 'x/z', 'a', 'b']);
});
