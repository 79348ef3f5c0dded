// SPDX-License-Identifier: Apache-2.0
// One line of the access log, as a data-plane process writes it into its ring; the main process only passes it on. Field names,
// order and both formats are Istio's, so that what reads its logs reads ours. This runs once or twice for each connection: a line is
// put together from few pieces, and what stands between those that differ from line to line is made once.
import type { ConnectionEnd, ConnectionRecord } from './connection.ts';
import { FORMATS, type LineFormat, type LogFormat, type Span } from './line-format.ts';

/** What lines say of both ends, the same for all connections between them. */
export interface EndTexts {
  /** Stands between the addresses of the two. */
  readonly source: string;
  /** Stands behind the last address. */
  readonly destination: string;
}

/** Worked out once for connections between the same two, and passed to the lines about them. */
export function endTexts({ source, destination, ...record }: ConnectionRecord, name: LogFormat): EndTexts {
  const format = FORMATS[name];
  const secured = record.security !== 'none';
  const from = [
    format.text('src.workload', source?.name),
    format.text('src.namespace', source?.namespace),
    format.text('src.cluster', source?.cluster),
    format.text('src.identity', secured ? record.sourceIdentity : ''),
  ];
  const to = [
    format.text('dst.service', record.service?.hostname),
    format.text('dst.workload', destination?.name),
    format.text('dst.namespace', destination?.namespace),
    format.text('dst.cluster', destination?.cluster),
    format.text('dst.identity', secured ? record.destinationIdentity : ''),
    format.text('direction', record.direction),
    record.security === 'node_local' ? format.word('node_local', 'true') : '',
  ];
  return {
    source: `${format.quote}${from.join('')}${format.destination}`,
    destination: `${format.quote}${to.join('')}`,
  };
}

/** A connection was classified and is about to be served. `now`: wall clock in ms, with fractions. */
export function openedLine(
  record: ConnectionRecord,
  name: LogFormat,
  now: number,
  ends: EndTexts = endTexts(record, name),
): string {
  const format = FORMATS[name];
  return format.line(now, 'debug', 'connection opened', spanOf(record), between(record, format, ends));
}

/** A connection ended, well or not. */
export function closedLine(
  record: ConnectionRecord,
  end: ConnectionEnd,
  name: LogFormat,
  now: number,
  ends: EndTexts = endTexts(record, name),
): string {
  const format = FORMATS[name];
  const outbound = record.direction === 'outbound';
  // Seen from the workload that reports: what it sent is what the client sent when it is the client.
  const sent = outbound ? end.receivedBytes : end.sentBytes;
  const received = outbound ? end.sentBytes : end.receivedBytes;
  const fields = `${between(record, format, ends)}${format.sent}${sent}${format.received}${received}${format.duration}${Math.floor(end.durationMs)}ms"${why(end, format)}`;
  return format.line(now, end.error === '' ? 'info' : 'error', 'connection complete', spanOf(record), fields);
}

function why({ clause, dryRun, error, policy, rule }: ConnectionEnd, format: LineFormat): string {
  let text = format.text('policy', policy);
  if (rule !== undefined && rule >= 0) text += `${format.key('rule')}${rule + 1}`;
  return text + format.text('clause', clause) + format.text('dry_run', dryRun) + format.text('error', error);
}

/** A connection failed before source and destination were known. */
export function earlyDenyLine(
  early: Pick<ConnectionRecord, 'direction' | 'sourceAddress' | 'destinationAddress'> & { readonly error: string },
  name: LogFormat,
  now: number,
): string {
  const format = FORMATS[name];
  const ends = {
    source: `${format.quote}${format.destination}`,
    destination: `${format.quote}${format.text('direction', early.direction)}${format.text('error', early.error)}`,
  };
  const fields = between({ ...early, hboneAddress: '' }, format, ends);
  return format.line(now, 'warn', 'connection failed', undefined, fields);
}

function spanOf({ direction, traceId, sourceAddress }: ConnectionRecord): Span {
  return { name: direction, id: traceId, peer: direction === 'inbound' ? sourceAddress : '' };
}

type Addresses = Pick<ConnectionRecord, 'sourceAddress' | 'destinationAddress' | 'hboneAddress'>;

/** The fields that tell between whom. */
function between(
  { sourceAddress, destinationAddress, hboneAddress }: Addresses,
  format: LineFormat,
  ends: EndTexts,
): string {
  const to = `${format.source}${sourceAddress}${ends.source}${destinationAddress}`;
  return hboneAddress === '' ? to + ends.destination : `${to}${format.tunnel}${hboneAddress}${ends.destination}`;
}
