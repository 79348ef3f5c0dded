// SPDX-License-Identifier: Apache-2.0
// Every metric family of ztunnel, with Istio's names where Istio has the metric.
import type { Family } from '#lib/proxy/telemetry/exposition.ts';

const counter = (name: string, help: string): Family => ({ name, type: 'counter', help });
const gauge = (name: string, help: string): Family => ({ name, type: 'gauge', help });

/** Upper bounds of the DNS duration histogram, in seconds. */
export const DNS_DURATION_BUCKETS = [0.0005, 0.001, 0.01, 0.1, 1, 5] as const;

export const FAMILIES: readonly Family[] = [
  counter('istio_tcp_connections_opened_total', 'The total number of TCP connections opened'),
  counter('istio_tcp_connections_closed_total', 'The total number of TCP connections closed'),
  counter('istio_tcp_connections_failed_total', 'The total number of TCP connections that failed'),
  counter('istio_tcp_received_bytes_total', 'Bytes that clients sent to servers over TCP connections'),
  counter('istio_tcp_sent_bytes_total', 'Bytes that servers sent to clients over TCP connections'),
  gauge('istio_tcp_sockets_open', 'Application connections open now'),
  counter('istio_dns_requests_total', 'DNS requests of captured pods'),
  counter('istio_dns_upstream_requests_total', 'DNS requests forwarded to the upstream resolvers'),
  counter('istio_dns_upstream_failures_total', 'Forwarded DNS requests that failed'),
  {
    name: 'istio_dns_upstream_request_duration_seconds',
    type: 'histogram',
    help: 'How long upstream resolvers took',
  },
  counter('istio_on_demand_dns_total', 'Host names of endpoints resolved for a connection'),
  counter(
    'ambit_connect_retries_total',
    'Connections tried on another endpoint before any byte reached an application',
  ),
  counter(
    'ambit_unknown_address_total',
    'Connections to addresses inside the cluster that WDS does not know, by outcome',
  ),
  counter(
    'ambit_dns_fallbacks_total',
    'DNS questions that needed another resolver or TCP, or were too many to be asked',
  ),
  counter('ambit_connections_refused_total', 'Connections and streams refused at the door, by what ran out'),
  gauge(
    'ambit_connections_waiting',
    'Connections for tunnels that wait at the door, since earlier ones of their address ended badly',
  ),
  counter('ambit_connections_held_total', 'Connections for tunnels that had to wait so'),
  counter('ambit_http2_cut_total', 'Tunnels cut off for what the peer did with HTTP/2, by the code it was told'),
  counter(
    'ambit_unknown_policy_total',
    'Connections held for a policy that was referenced and not received, by outcome',
  ),
  counter('ambit_policy_dry_run_total', 'What dry-run policies would have done'),
  counter('ambit_access_log_dropped_total', 'Access log lines dropped because their ring was full'),
  counter('ambit_http_requests_total', 'Requests read along in clear, where a namespace asks for it'),
  {
    name: 'ambit_http_request_duration_seconds',
    type: 'histogram',
    help: 'From the first octet of a request that was read along to the last of its answer',
  },
  counter('ambit_http_unwatched_connections_total', 'Connections whose requests are not counted, by reason'),
  gauge('ambit_worker_connections', 'Application connections of a data-plane process'),
  gauge('ambit_worker_tunnels', 'Tunnels of a data-plane process'),
  counter('ambit_worker_restarts_total', 'Data-plane processes that ended unexpectedly'),
  gauge('ambit_mesh_store_bytes', 'Bytes of the shared mesh store in use'),
  gauge('ambit_mesh_store_records', 'Records of the shared mesh store'),
  counter('istio_crl_policy_rejections_total', 'Tunnels refused or ended because a revocation list names the peer'),
  counter('istio_crl_untracked_connections_total', 'Tunnels whose peer cannot be looked up in revocation lists'),
  counter('istio_xds_connection_terminations_total', 'Ends of the stream from the control plane, by reason'),
  counter('istio_xds_message_total', 'Messages from the control plane, by type'),
  counter('istio_xds_message_bytes_total', 'Bytes of messages from the control plane, by type'),
  gauge('workload_manager_active_proxy_count', 'Pods whose traffic is captured'),
  gauge('workload_manager_pending_proxy_count', 'Pods whose capture has failed so far'),
  counter('workload_manager_proxies_started_total', 'Pods whose capture was started'),
  counter('workload_manager_proxies_stopped_total', 'Pods whose capture was stopped'),
  gauge('process_open_fds', 'Descriptors the main process has open'),
  gauge('process_max_fds', 'Descriptors the main process may have open'),
  gauge('istio_build', 'Version of this component'),
];
