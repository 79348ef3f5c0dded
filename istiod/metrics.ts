// SPDX-License-Identifier: Apache-2.0
// The figures istiod shows on its monitoring port, under the names Istio's dashboards know.

import type { Metrics } from '#lib/kit/metrics.ts';

const PUSH_BUCKETS_S = [0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30] as const;
const WAIT_BUCKETS_S = [0.1, 0.5, 1, 3, 5, 10, 20, 30] as const;
const SIZE_BUCKETS = [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000] as const;

export type IstiodMetrics = ReturnType<typeof createIstiodMetrics>;

export function createIstiodMetrics(metrics: Metrics) {
  return {
    // xDS
    connectedClients: metrics.gauge('pilot_xds', 'Clients connected over xDS, by version.', ['version']),
    pushes: metrics.counter('pilot_xds_pushes', 'Responses sent, by type; send errors too.', ['type']),
    pushTime: metrics.histogram(
      'pilot_xds_push_time',
      'Seconds to put a response on the wire.',
      ['type'],
      PUSH_BUCKETS_S,
    ),
    configSize: metrics.histogram('pilot_xds_config_size_bytes', 'Bytes of responses.', ['type'], SIZE_BUCKETS),
    rejects: metrics.counter('pilot_total_xds_rejects', 'Responses rejected (NACK) by a client, by type.', ['type']),
    expiredNonces: metrics.counter('pilot_xds_expired_nonce', 'Requests that answered an older response.', ['type']),
    internalErrors: metrics.counter('pilot_total_xds_internal_errors', 'Streams refused or broken by us.'),
    pushTriggers: metrics.counter('pilot_push_triggers', 'What led to a push.', ['type']),
    debounceTime: metrics.histogram('pilot_debounce_time', 'Seconds a change waited for others.', [], PUSH_BUCKETS_S),
    queueTime: metrics.histogram(
      'pilot_proxy_queue_time',
      'Seconds a new client waited for the first snapshots of others.',
      [],
      WAIT_BUCKETS_S,
    ),
    convergenceTime: metrics.histogram(
      'pilot_proxy_convergence_time',
      'Seconds from a change until a client had it.',
      [],
      WAIT_BUCKETS_S,
    ),
    // Kubernetes
    configEvents: metrics.counter('pilot_k8s_cfg_events', 'Changes of mesh objects.', ['type', 'event']),
    registryEvents: metrics.counter('pilot_k8s_reg_events', 'Changes of Kubernetes objects.', ['type', 'event']),
    syncErrors: metrics.counter('controller_sync_errors_total', 'Watches that began to fail.', ['cluster']),
    registrations: metrics.counter('auto_registration_success_total', 'Machines registered.'),
    registrationUpdates: metrics.counter('auto_registration_updates_total', 'Entries of machines that came again.'),
    unregistrations: metrics.counter('auto_registration_unregister_total', 'Machines that have gone.'),
    registrationDeletes: metrics.counter('auto_registration_deletes_total', 'Entries of machines deleted.'),
    registrationErrors: metrics.counter('auto_registration_errors_total', 'Entries that could not be written.'),
    managedClusters: metrics.gauge('istiod_managed_clusters', 'Clusters of the mesh, by type.', ['cluster_type']),
    remoteSecretEvents: metrics.counter('remote_cluster_secret_events_total', 'Changes of Secrets with kubeconfigs.', [
      'event',
    ]),
    remoteSyncTimeouts: metrics.counter(
      'remote_cluster_sync_timeouts_total',
      'Clusters that the start did not wait for.',
    ),
    sourceUp: metrics.gauge('ambit_source_up', 'Whether a source of objects is up to date: a cluster, a folder.', [
      'source',
    ]),
    inboundUpdates: metrics.counter('pilot_inbound_updates', 'Updates taken in.', ['type']),
    services: metrics.gauge('pilot_services', 'Services known.'),
    rejectedConfigs: metrics.gauge('pilot_total_rejected_configs', 'Objects with problems.', ['type', 'name']),
    // Certificates
    csrCount: metrics.counter('citadel_server_csr_count', 'Signing requests received.'),
    authenticationFailures: metrics.counter('citadel_server_authentication_failure_count', 'Callers not let in.'),
    csrParsingErrors: metrics.counter('citadel_server_csr_parsing_err_count', 'Requests that could not be read.'),
    csrSignErrors: metrics.counter('citadel_server_csr_sign_err_count', 'Requests that could not be signed.', [
      'error',
    ]),
    certificatesIssued: metrics.counter('citadel_server_success_cert_issuance_count', 'Certificates issued.'),
    rootExpiry: metrics.gauge('citadel_server_root_cert_expiry_timestamp', 'When the root expires, Unix seconds.'),
    rootExpirySeconds: metrics.gauge('citadel_server_root_cert_expiry_seconds', 'Seconds until the root expires.'),
    chainExpiry: metrics.gauge(
      'citadel_server_cert_chain_expiry_timestamp',
      'When the signing certificate expires, Unix seconds.',
    ),
    chainExpirySeconds: metrics.gauge(
      'citadel_server_cert_chain_expiry_seconds',
      'Seconds until the signing certificate expires.',
    ),
    // Admission
    validationPassed: metrics.counter('galley_validation_passed', 'Objects admitted.', [
      'group',
      'version',
      'resource',
    ]),
    validationFailed: metrics.counter('galley_validation_failed', 'Objects refused.', [
      'group',
      'version',
      'resource',
      'reason',
    ]),
    validationHttpErrors: metrics.counter('galley_validation_http_error', 'Requests that were no review.', ['status']),
    // Process
    uptime: metrics.gauge('istiod_uptime_seconds', 'Seconds since start.'),
    info: metrics.gauge('pilot_info', 'Version and build.', ['version']),
  };
}
