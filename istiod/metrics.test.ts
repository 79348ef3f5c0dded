// SPDX-License-Identifier: Apache-2.0
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '#lib/kit/metrics.ts';
import { createIstiodMetrics } from './metrics.ts';

/** What dashboards and alarms for Istio's control plane read of an ambient mesh. */
const NAMES = [
  ...['pilot_xds', 'pilot_xds_pushes', 'pilot_xds_push_time', 'pilot_xds_config_size_bytes', 'pilot_xds_expired_nonce'],
  ...['pilot_total_xds_rejects', 'pilot_total_xds_internal_errors', 'pilot_push_triggers', 'pilot_debounce_time'],
  ...['pilot_proxy_queue_time', 'pilot_proxy_convergence_time', 'pilot_inbound_updates', 'pilot_services'],
  ...['pilot_total_rejected_configs', 'pilot_k8s_cfg_events', 'pilot_k8s_reg_events', 'controller_sync_errors_total'],
  ...['istiod_managed_clusters', 'remote_cluster_secret_events_total', 'remote_cluster_sync_timeouts_total'],
  ...[
    'citadel_server_csr_count',
    'citadel_server_authentication_failure_count',
    'citadel_server_csr_parsing_err_count',
  ],
  ...['citadel_server_csr_sign_err_count', 'citadel_server_success_cert_issuance_count'],
  ...['citadel_server_root_cert_expiry_timestamp', 'citadel_server_root_cert_expiry_seconds'],
  ...['citadel_server_cert_chain_expiry_timestamp', 'citadel_server_cert_chain_expiry_seconds'],
  ...['galley_validation_passed', 'galley_validation_failed', 'galley_validation_http_error'],
  ...['auto_registration_success_total', 'auto_registration_unregister_total', 'auto_registration_errors_total'],
  ...['istiod_uptime_seconds', 'pilot_info'],
];

test('metrics have the names that dashboards of Istio’s control plane read', async () => {
  const metrics = createMetrics();
  createIstiodMetrics(metrics);
  const { body } = await metrics.text();
  const there = new Set([...String(body).matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name));
  deepEqual(
    NAMES.filter((name) => !there.has(name)),
    [],
  );
});
