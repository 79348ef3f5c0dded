// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandOf } from '#lib/proxy/program.ts';
import { type Config, loadConfig, printableConfig } from './config.ts';
import { parseLogFilter } from './log-config.ts';

const load = (env: Record<string, string>, files: Record<string, string> = {}, cores = 8): Config =>
  loadConfig({ env, readFile: (path) => files[path], cores });

test('without any variable the proxy is shared, asks the local control plane and waits five seconds to drain', () => {
  const config = load({});
  assert.equal(config.mode, 'shared');
  assert.equal(config.xds?.url.href, 'https://localhost:15012/');
  assert.equal(config.worker.mark, 1337);
  assert.equal(config.drainMs, 5000);
  assert.equal(config.workers, 2);
  assert.deepEqual(config.worker.ports, { outbound: 15001, inbound: 15006, hbone: 15008, dns: 15053 });
  assert.deepEqual(config.worker.accessLog, { enabled: true, opened: false, dns: false, format: 'plain' });
  assert.equal(load({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }).xds?.url.host, 'istiod.istio-system.svc:15012');
});

test('the settings of a benchmark pair: dedicated, from a file, test authority, no control plane', () => {
  const config = load({
    PROXY_MODE: 'dedicated',
    PROXY_WORKLOAD_INFO: 'default/client/default',
    FAKE_CA: 'true',
    XDS_ADDRESS: '',
    LOCAL_XDS_PATH: '/tmp/x.yaml',
    NODE_NAME: 'a',
    ENABLE_ORIG_SRC: 'false',
    IPV6_ENABLED: 'false',
    ZTUNNEL_WORKER_THREADS: '2',
    RUST_LOG: 'warn,access=off',
  });
  assert.deepEqual(config.dedicated, { namespace: 'default', name: 'client', serviceAccount: 'default' });
  assert.equal(config.xds, undefined);
  assert.deepEqual(config.localXds, { path: '/tmp/x.yaml' });
  assert.equal(config.worker.originalSource, 'off');
  assert.equal(config.worker.mark, 0);
  assert.equal(config.worker.accessLog.enabled, false);
  assert.deepEqual([config.log.level, config.log.scopes], ['warn', { access: 'off' }]);
});

test('every bad variable is named in one error', () => {
  assert.throws(
    () =>
      load({
        PROXY_MODE: 'dedicated',
        PROXY_WORKLOAD_INFO: 'x',
        SECRET_TTL: 'soon',
        XDS_ADDRESS: 'https://[',
        RUST_LOG: 'loud',
        LOCAL_XDS: 'a',
        LOCAL_XDS_PATH: 'b',
        AMBIT_CLUSTER_RANGES: '10.0.0.0/8,x',
        ISTIO_METAJSON_X: '{',
        PROXY_CONFIG: 'statsPort: many',
        ZTUNNEL_WORKER_THREADS: 'all',
      }),
    (error: Error) => {
      for (const name of [
        'PROXY_WORKLOAD_INFO',
        'SECRET_TTL',
        'XDS_ADDRESS',
        'RUST_LOG',
        'LOCAL_XDS',
        'AMBIT_CLUSTER_RANGES',
        'ISTIO_METAJSON_X',
        'statsPort',
        'ZTUNNEL_WORKER_THREADS',
      ])
        assert.ok(error.message.includes(name), `${name} missing in ${error.message}`);
      return true;
    },
  );
  assert.throws(() => load({ XDS_ON_DEMAND: 'true' }), /cannot be used with the DNS proxy/);
});

test('the mesh file gives defaults, PROXY_CONFIG beats it, the environment beats both', () => {
  const mesh =
    'defaultConfig:\n  discoveryAddress: one:15012\n  statsPort: 1\n  proxyMetadata:\n    DNS_CAPTURE: "false"\n    A: b\n';
  const files = { './etc/istio/config/mesh': mesh };
  const config = load({ PROXY_CONFIG: 'statsPort: 2\nproxyAdminPort: 3' }, files);
  assert.equal(config.xds?.url.host, 'one:15012');
  assert.deepEqual([config.admin.statsPort, config.admin.port], [2, 3]);
  assert.equal(config.worker.dns.enabled, false);
  assert.equal(load({ XDS_ADDRESS: 'two:1' }, files).xds?.url.host, 'two:1');
  assert.deepEqual(load({ ISTIO_META_A: 'c', ISTIO_METAJSON_D: '[1]' }, files).nodeMetadata, {
    DNS_CAPTURE: 'false',
    A: 'c',
    D: [1],
  });
});

test('the drain ends before the kubelet would', () => {
  assert.equal(load({ TERMINATION_GRACE_PERIOD_SECONDS: '30' }).drainMs, 25_000);
  assert.equal(load({ TERMINATION_GRACE_PERIOD_SECONDS: '10' }).drainMs, 9000);
  assert.equal(load({ TERMINATION_GRACE_PERIOD_SECONDS: '1' }).drainMs, 1000);
  assert.equal(load({ CONNECTION_TERMINATION_DEADLINE: '7s' }).drainMs, 7000);
});

test('workers follow what is asked for, else a quarter of the cores, two at least', () => {
  const workers = (env: Record<string, string>, cores = 16): number => load(env, {}, cores).workers;
  assert.equal(workers({ ZTUNNEL_WORKER_THREADS: '3' }), 3);
  assert.equal(workers({ ZTUNNEL_WORKER_THREADS: '0' }), 16);
  assert.equal(workers({ ZTUNNEL_WORKER_THREADS: '50%' }), 8);
  assert.equal(workers({}), 4);
  assert.equal(workers({}, 2), 2);
  assert.equal(workers({ ZTUNNEL_CPU_LIMIT: '6' }), 6);
});

test('log filters are read as Istio writes them; nonsense is refused', () => {
  assert.deepEqual(parseLogFilter('hickory_server::server=off,info,ztunnel::xds=debug'), {
    level: 'info',
    scopes: { 'hickory_server::server': 'off', xds: 'debug' },
  });
  assert.equal(parseLogFilter('loud'), undefined);
  assert.equal(parseLogFilter('a='), undefined);
});

test('headers and tokens are not printed', () => {
  const printed = JSON.stringify(printableConfig(load({ AUTH_TOKEN: 'secret-1', XDS_HEADER_X: 'secret-2' })));
  assert.doesNotMatch(printed, /secret-/);
  assert.equal(commandOf([]), 'proxy');
  assert.equal(commandOf(['proxy', 'ztunnel']), 'proxy');
  assert.throws(() => commandOf(['run']), /unknown command/);
});
