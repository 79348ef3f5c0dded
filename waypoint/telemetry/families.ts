// SPDX-License-Identifier: Apache-2.0
// Every metric family of the waypoint, in the order of its exposition.
import type { Family } from '#lib/proxy/telemetry/exposition.ts';

const counter = (name: string, help: string): Family => ({ name, type: 'counter', help });
const gauge = (name: string, help: string): Family => ({ name, type: 'gauge', help });
const histogram = (name: string, help: string): Family => ({ name, type: 'histogram', help });

export const FAMILIES: readonly Family[] = [
  counter('istio_requests_total', 'Requests that ended'),
  histogram('istio_request_duration_milliseconds', 'From the head of a request to the end of its answer'),
  histogram('istio_request_bytes', 'Octets of requests'),
  histogram('istio_response_bytes', 'Octets of answers'),
  counter('istio_request_messages_total', 'Messages of gRPC that clients sent'),
  counter('istio_response_messages_total', 'Messages of gRPC that servers sent'),
  counter('istio_tcp_connections_opened_total', 'The total number of TCP connections opened'),
  counter('istio_tcp_connections_closed_total', 'The total number of TCP connections closed'),
  counter('istio_tcp_received_bytes_total', 'Bytes that clients sent to servers over TCP connections'),
  counter('istio_tcp_sent_bytes_total', 'Bytes that servers sent to clients over TCP connections'),
  counter('ambit_bad_requests_total', 'What was no request, by how it was answered and why'),
  counter('ambit_connections_refused_total', 'Connections reset at the door, by what ran out'),
  gauge(
    'ambit_connections_waiting',
    'Connections for tunnels that wait at the door, since earlier ones of their address ended badly',
  ),
  counter('ambit_connections_held_total', 'Connections for tunnels that had to wait so'),
  counter(
    'ambit_http2_cut_total',
    'HTTP/2 connections and tunnels cut off for what the peer did, by the code it was told',
  ),
  counter('ambit_tunnels_refused_total', 'Tunnels that could not be accepted, by reason'),
  counter('ambit_streams_refused_total', 'Streams that are no HTTP and were refused, by reason'),
  counter('ambit_ext_authz_total', 'Questions to external authorisers, by provider and result'),
  counter('ambit_policy_dry_run_total', 'What dry-run policies would have done'),
  counter('ambit_policy_audit_total', 'Requests that AUDIT policies match, by policy'),
  counter('istio_crl_policy_rejections_total', 'Peers refused or cut off because of a revocation list'),
  counter('ambit_access_log_dropped_total', 'Access log lines dropped because their ring was full'),
  counter('ambit_telemetry_sent_total', 'Spans and log lines that providers took'),
  counter('ambit_telemetry_dropped_total', 'Spans and log lines that no provider got, by what was in the way'),
  gauge('ambit_worker_connections', 'Clients’ connections of a data-plane process'),
  gauge('ambit_worker_tunnels', 'Clients’ tunnels of a data-plane process'),
  counter('ambit_worker_restarts_total', 'Data-plane processes that ended unexpectedly'),
  gauge('ambit_mesh_store_bytes', 'Bytes of the shared store in use'),
  gauge('ambit_mesh_store_records', 'Records of the shared store'),
  counter('istio_xds_connection_terminations_total', 'Ends of the stream from the control plane, by reason'),
  counter('istio_xds_message_total', 'Messages from the control plane, by type'),
  counter('istio_xds_message_bytes_total', 'Bytes of messages from the control plane, by type'),
  gauge('istio_build', 'Version of this component'),
];
