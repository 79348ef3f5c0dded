// SPDX-License-Identifier: Apache-2.0
// Expressions of telemetry settings about a request that is over, in CEL with Envoy's attributes. Only what an expression asks for is
// worked out.
import { type CelInput, celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { describeError } from '#lib/kit/error.ts';
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { pathOf } from '#lib/mesh/http/request.ts';
import { partyOf } from '#lib/proxy/telemetry/party.ts';
import type { RequestRecord } from '../record/request.ts';
import { clusterName } from './cluster-name.ts';

/** Gives undefined where it fails: something that it asks for is not there. */
export type CelExpression = (record: RequestRecord) => unknown;

const env = celEnv({ funcs: [...strings] });

export function compileCel(text: string): Result<CelExpression> {
  let run: ReturnType<typeof plan>;
  try {
    run = plan(env, parse(text));
  } catch (error) {
    return fail({ field: 'expression', message: `"${text}" is no expression of CEL: ${describeError(error)}` });
  }
  return ok((record) => {
    const value = run(new RequestAttributes(record) as unknown as Record<string, CelInput>);
    return isCelError(value) ? undefined : value;
  });
}

/** An expression that fails, or is not about truth, holds not. */
export function holds(expression: CelExpression, record: RequestRecord): boolean {
  return expression(record) === true;
}

type Attributes = Map<string, CelInput>;

/** Variables of expressions, made when they are asked for. */
class RequestAttributes {
  readonly #record: RequestRecord;

  constructor(record: RequestRecord) {
    this.#record = record;
  }

  get request(): Attributes {
    const { origin, request, requestId, runtime, stream, begunAt } = this.#record;
    const { head } = stream;
    const headers: Attributes = new Map();
    for (let i = 0; i < head.count; i++) {
      const name = head.name(i);
      if (!headers.has(name)) headers.set(name, request.header(name) ?? '');
    }
    headers.set(':method', request.method).set(':path', request.path).set(':authority', request.authority);
    const query = request.path.indexOf('?');
    const all: Attributes = new Map<string, CelInput>([
      ['path', request.path],
      ['url_path', pathOf(request.path)],
      ['query', query < 0 ? '' : request.path.slice(query + 1)],
      ['host', request.authority],
      ['scheme', request.scheme],
      ['method', request.method],
      ['headers', headers],
      ['referer', head.get('referer') ?? ''],
      ['useragent', head.get('user-agent') ?? ''],
      ['id', requestId],
      ['protocol', head.protocol],
      ['duration_ms', BigInt(Math.max(0, Math.round(runtime.loop.now - begunAt)))],
      ['size', BigInt(stream.received)],
      ['total_size', BigInt(stream.received)],
    ]);
    if (origin.identity !== undefined) all.set('principal', origin.identity.uri);
    return all;
  }

  get response(): Attributes {
    const { details, flags, grpc, grpcStatus, status, stream } = this.#record;
    const all: Attributes = new Map<string, CelInput>([
      ['code', BigInt(status)],
      ['code_details', details],
      ['flags', flags],
      ['size', BigInt(stream.sent)],
      ['total_size', BigInt(stream.sent)],
    ]);
    if (grpc && grpcStatus >= 0) all.set('grpc_status', BigInt(grpcStatus));
    return all;
  }

  get connection(): Attributes {
    const { identity } = this.#record.origin;
    return new Map<string, CelInput>([
      ['mtls', identity !== undefined],
      ['uri_san_peer_certificate', identity?.uri ?? ''],
      ['uri_san_local_certificate', this.#record.runtime.settings.identity],
      ['requested_server_name', this.#record.request.serverName],
    ]);
  }

  get source(): Attributes {
    const { identity, party, sourceIp, sourceText } = this.#record.origin;
    return new Map<string, CelInput>([
      ['address', sourceText],
      ['ip', sourceIp.toString()],
      ['principal', identity?.uri ?? ''],
      ['namespace', identity?.namespace ?? party?.namespace ?? ''],
      ['workload', party?.workloadName ?? ''],
      ['app', party?.app ?? ''],
    ]);
  }

  get destination(): Attributes {
    const { origin } = this.#record;
    return new Map<string, CelInput>([
      ['address', origin.destinationText],
      ['port', BigInt(origin.door.port)],
      ['service', origin.door.service.slice(origin.door.service.indexOf('/') + 1)],
    ]);
  }

  get upstream(): Attributes {
    const { attempts, failure, localAddress, member } = this.#record;
    const party = member === null ? undefined : partyOf(member.workload);
    return new Map<string, CelInput>([
      ['address', member?.address ?? ''],
      ['local_address', localAddress],
      ['transport_failure_reason', failure],
      ['request_attempt_count', BigInt(attempts)],
      ['workload', party?.workloadName ?? ''],
    ]);
  }

  get xds(): Attributes {
    const { verdict } = this.#record;
    return new Map<string, CelInput>([
      ['cluster_name', clusterName(this.#record)],
      ['route_name', verdict?.rule.name ?? ''],
    ]);
  }
}
