// SPDX-License-Identifier: Apache-2.0
// The errors of the Kubernetes API: an HTTP code, a machine-readable reason, and the Status object that carries them.
// Reasons and codes follow meta/v1 Status; clients branch on `reason`, people read `message`.
import { AmbitError } from '#lib/kit/error.ts';
import type { Problem } from '#lib/kit/result.ts';
import type { Json, JsonObject } from './json.ts';

/** An API failure; the server turns it into a Status body. */
export class ApiError extends AmbitError {
  readonly status: number;
  readonly reason: string;
  readonly details: JsonObject | undefined;

  constructor(status: number, reason: string, message: string, details?: JsonObject) {
    super(`API_${reason.toUpperCase()}`, message);
    this.status = status;
    this.reason = reason;
    this.details = details;
  }

  toStatus(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? { details: this.details } : {}),
      code: this.status,
    };
  }
}

/** What an error message calls a resource: `deployments.apps`, plain `pods` in the core group. */
export interface Subject {
  readonly group: string;
  readonly resource: string;
}
const label = ({ group, resource }: Subject): string => (group ? `${resource}.${group}` : resource);
const detailsOf = ({ group, resource }: Subject, name: string, rest: JsonObject = {}): JsonObject => ({
  name,
  ...(group ? { group } : {}),
  kind: resource,
  ...rest,
});

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);
export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');
export const methodNotAllowed = (subject: Subject, verb: string): ApiError =>
  new ApiError(405, 'MethodNotAllowed', `${verb} is not supported on resources of kind "${label(subject)}"`);
export const noSuchPath = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});
export const notFound = (subject: Subject, name: string): ApiError =>
  new ApiError(404, 'NotFound', `${label(subject)} "${name}" not found`, detailsOf(subject, name));
export const alreadyExists = (subject: Subject, name: string): ApiError =>
  new ApiError(409, 'AlreadyExists', `${label(subject)} "${name}" already exists`, detailsOf(subject, name));
export const conflict = (subject: Subject, name: string, why: string): ApiError =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${label(subject)} "${name}": ${why}`,
    detailsOf(subject, name),
  );
export const staleVersion = (subject: Subject, name: string): ApiError =>
  conflict(
    subject,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );
export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message);
export const unsupportedMedia = (message: string): ApiError => new ApiError(415, 'UnsupportedMediaType', message);
export const tooLarge = (limitBytes: number): ApiError =>
  new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limitBytes}`);
export const unavailable = (message: string): ApiError => new ApiError(503, 'ServiceUnavailable', message);
export const internal = (message: string): ApiError => new ApiError(500, 'InternalError', message);
export const forbidden = (subject: Subject, name: string, why: string): ApiError =>
  new ApiError(
    403,
    'Forbidden',
    name ? `${label(subject)} "${name}" is forbidden: ${why}` : `${label(subject)} is forbidden: ${why}`,
    detailsOf(subject, name),
  );

/** 422 with one cause per problem; `kind` is the Kind, as in `Pod "x" is invalid`. */
export function invalid(group: string, kind: string, name: string, problems: readonly Problem[]): ApiError {
  const text = problems.map((p) => `${p.field}: ${p.message}`);
  const causes: Json[] = problems.map((p) => ({ reason: causeOf(p.message), message: p.message, field: p.field }));
  const details = { name, ...(group ? { group } : {}), kind, causes };
  const list = text.length === 1 ? text[0]! : `[${text.join(', ')}]`;
  const qualified = group ? `${kind}.${group}` : kind;
  return new ApiError(422, 'Invalid', `${qualified} "${name}" is invalid: ${list}`, details);
}

const CAUSES: readonly (readonly [prefix: string, reason: string])[] = [
  ['Required value', 'FieldValueRequired'],
  ['Duplicate value', 'FieldValueDuplicate'],
  ['Unsupported value', 'FieldValueNotSupported'],
  ['Forbidden', 'FieldValueForbidden'],
  ['Too long', 'FieldValueTooLong'],
  ['Too many', 'FieldValueTooMany'],
];
const causeOf = (message: string): string =>
  CAUSES.find(([prefix]) => message.startsWith(prefix))?.[1] ?? 'FieldValueInvalid';
