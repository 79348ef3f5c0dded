// SPDX-License-Identifier: Apache-2.0
// The validating webhook's decision: the checks of `ambit validate` for one object that is about to be stored. What an
// error says there is refused here in the same words; a warning comes along and refuses nothing. Pure.

import { formatProblem } from '#lib/kit/result.ts';
import type { KubeObject } from '#lib/model/object/object.ts';
import { validateObject } from '#lib/model/validate/object.ts';
import { type ObjectProblem, ProblemList } from '#lib/model/validate/problem.ts';
import type { SchemaChecker } from '#lib/model/validate/schema.ts';

/** On an object nobody wants to store: it asks whether this webhook is reached (see WebhookKeeper). */
export const ALWAYS_REJECT = 'internal.istio.io/webhook-always-reject';

const VERSIONS: readonly string[] = ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'];
const JUDGED: readonly string[] = ['CREATE', 'UPDATE'];
const TOP_LEVEL: readonly string[] = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];

interface Request {
  readonly uid?: string;
  readonly operation?: string;
  readonly namespace?: string;
  readonly subResource?: string;
  readonly object?: KubeObject;
}

/** What came of it, for the metrics. */
export type Outcome =
  | { readonly kind: 'passed' | 'failed'; readonly object: KubeObject | undefined; readonly reason: string }
  | { readonly kind: 'broken'; readonly status: number };

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly outcome: Outcome;
}

/** Answers the body of a request to the webhook: an AdmissionReview as JSON. */
export function reviewAdmission(contentType: string, body: string, schemas: SchemaChecker): Answer {
  const broken = (status: number, text: string): Answer => ({
    status,
    body: `${text}\n`,
    outcome: { kind: 'broken', status },
  });
  if (contentType.split(';')[0]?.trim() !== 'application/json') {
    return broken(415, `content type ${JSON.stringify(contentType)} is not application/json`);
  }
  if (body === '') return broken(400, 'the request has no body');
  let review: { readonly apiVersion?: string; readonly request?: Request } | null;
  try {
    review = JSON.parse(body) as typeof review;
  } catch {
    return broken(400, 'the body is not JSON');
  }
  const { apiVersion = '', request } = review ?? {};
  if (!VERSIONS.includes(apiVersion) || request === undefined || typeof request.uid !== 'string') {
    return broken(400, `the body is no AdmissionReview of ${VERSIONS.join(' or ')}`);
  }
  const { object, reason, refusal, warnings } = judge(request, schemas);
  const response = {
    uid: request.uid,
    allowed: refusal === undefined,
    ...(refusal === undefined ? {} : { status: { code: 422, reason: 'Invalid', message: refusal } }),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
  return {
    status: 200,
    body: JSON.stringify({ apiVersion, kind: 'AdmissionReview', response }),
    outcome: { kind: refusal === undefined ? 'passed' : 'failed', object, reason },
  };
}

interface Judgement {
  readonly object: KubeObject | undefined;
  readonly refusal: string | undefined;
  /** Short, for a metric's label; '' when it passed. */
  readonly reason: string;
  readonly warnings: readonly string[];
}

function judge(request: Request, schemas: SchemaChecker): Judgement {
  const { object, operation = '', subResource = '' } = request;
  // A status is the controller's own business, a deletion nobody's.
  if (!JUDGED.includes(operation) || subResource !== '' || typeof object !== 'object' || object === null) {
    return { object: undefined, refusal: undefined, reason: '', warnings: [] };
  }
  if (object.metadata?.annotations?.[ALWAYS_REJECT] === 'true') {
    return {
      object,
      refusal: 'this object is always refused: it is a question',
      reason: 'invalid_resource',
      warnings: [],
    };
  }
  if (!schemas.knows(object)) {
    const refusal = `${object.apiVersion} ${object.kind} is not known to this control plane`;
    return { object, refusal, reason: 'unknown_type', warnings: [] };
  }
  const problems = [...strangers(object), ...validateObject(object, schemas)];
  const told = (severity: ObjectProblem['severity']): string[] =>
    problems.filter((problem) => problem.severity === severity).map(formatProblem);
  const errors = told('error');
  return {
    object,
    refusal: errors.length === 0 ? undefined : errors.join('; '),
    reason: errors.length === 0 ? '' : 'invalid_resource',
    warnings: told('warning'),
  };
}

/** Fields beside the ones every object has. */
function strangers(object: KubeObject): ObjectProblem[] {
  const list = new ProblemList(object);
  for (const key of Object.keys(object)) {
    if (!TOP_LEVEL.includes(key)) list.error('UnknownField', key, 'is no field of an object', 'move it below spec');
  }
  return list.problems;
}
