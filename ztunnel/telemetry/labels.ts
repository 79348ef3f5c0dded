// SPDX-License-Identifier: Apache-2.0
// The labels of Istio's TCP metrics, in their order.
import { type Labels, orUnknown, UNKNOWN } from '#lib/proxy/telemetry/labels.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import type { ConnectionRecord, ResponseFlag } from './connection.ts';

/** Labels of `istio_tcp_*` for this connection. Made once a connection: the series is resolved with it, then only counted. */
export function trafficLabels(record: ConnectionRecord, flag: ResponseFlag): Labels {
  const { source, destination, service } = record;
  return {
    reporter: record.direction === 'outbound' ? 'source' : 'destination',
    ...partyLabels('source', source, record.sourceIdentity),
    destination_service: orUnknown(service?.hostname),
    destination_service_namespace: orUnknown(service?.namespace),
    destination_service_name: orUnknown(service?.name),
    ...partyLabels('destination', destination, record.destinationIdentity),
    request_protocol: 'tcp',
    response_flags: flag,
    connection_security_policy: record.security === 'none' ? UNKNOWN : record.security,
    ...localityLabels(source, destination),
  };
}

/** The eight labels of one end. */
export function partyLabels(side: 'source' | 'destination', party: Party | undefined, identity: string): Labels {
  return {
    [`${side}_workload`]: orUnknown(party?.workloadName),
    [`${side}_canonical_service`]: orUnknown(party?.canonicalName),
    [`${side}_canonical_revision`]: orUnknown(party?.canonicalRevision),
    [`${side}_workload_namespace`]: orUnknown(party?.namespace),
    [`${side}_principal`]: orUnknown(identity),
    [`${side}_app`]: orUnknown(party?.app),
    [`${side}_version`]: orUnknown(party?.canonicalRevision),
    [`${side}_cluster`]: orUnknown(party?.cluster),
  };
}

// Absent altogether when neither side is placed: most clusters would carry four useless labels.
function localityLabels(source: Party | undefined, destination: Party | undefined): Labels {
  const places = [source?.region, source?.zone, destination?.region, destination?.zone];
  if (places.every((place) => place === undefined || place === '')) return {};
  const [sourceRegion, sourceZone, destinationRegion, destinationZone] = places.map(orUnknown) as [
    string,
    string,
    string,
    string,
  ];
  return {
    source_region: sourceRegion,
    source_zone: sourceZone,
    destination_region: destinationRegion,
    destination_zone: destinationZone,
  };
}
