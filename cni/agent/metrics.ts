// SPDX-License-Identifier: Apache-2.0
// Figures of the agent: Istio's names where there are such, ours for what is ours.
import type { Metrics } from '#lib/kit/metrics.ts';

export type CniMetrics = ReturnType<typeof createCniMetrics>;

export function createCniMetrics(metrics: Metrics) {
  return {
    events: metrics.counter('nodeagent_reconcile_events_total', 'Pods added, updated and deleted.', ['type']),
    proxies: metrics.gauge('ztunnel_connected', 'Node proxies connected.'),
    pluginRequests: metrics.counter('istio_cni_plugin_requests_total', 'Requests of the CNI plugin.', [
      'response_code',
    ]),
    installs: metrics.counter('istio_cni_installs_total', 'Installations of the plugin.', ['result']),
    installReady: metrics.gauge('istio_cni_install_ready', 'Whether the plugin is installed.'),
    enrolled: metrics.gauge('ambit_cni_enrolled_pods', 'Pods enrolled on this node, by state.', ['state']),
    repairs: metrics.counter('ambit_cni_repairs_total', 'Differences found in the kernel and mended.', ['what']),
    failures: metrics.counter('ambit_cni_enrolment_failures_total', 'Enrolments that failed, by step.', ['step']),
    openConnections: metrics.gauge(
      'ambit_cni_open_connections',
      'Connections from before the enrolment of their pod that live on past the proxy.',
    ),
    endedConnections: metrics.counter(
      'ambit_cni_ended_connections_total',
      'Connections from before the enrolment that were ended at the limit.',
    ),
  };
}
