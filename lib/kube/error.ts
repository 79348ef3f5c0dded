// SPDX-License-Identifier: Apache-2.0
// What an API server said when it said no. One class, codes by meaning, so callers ask `error.code === 'KUBE_CONFLICT'`
// and never compare status numbers.

import { AmbitError } from '#lib/kit/error.ts';

export type KubeErrorCode =
  | 'KUBE_CONFIG'
  | 'KUBE_UNREACHABLE'
  | 'KUBE_UNAUTHORIZED'
  | 'KUBE_FORBIDDEN'
  | 'KUBE_NOT_FOUND'
  | 'KUBE_CONFLICT'
  | 'KUBE_GONE'
  | 'KUBE_INVALID'
  | 'KUBE_BUSY'
  | 'KUBE_REFUSED';

/** A request to the API server that failed. `status` is 0 when there was no answer. */
export class KubeError extends AmbitError {
  readonly status: number;
  /** The server's machine-readable reason (`metav1.Status.reason`), empty when it gave none. */
  readonly reason: string;
  /** Seconds the server asks us to wait, from `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: KubeErrorCode,
    message: string,
    detail: {
      status: number;
      reason?: string;
      retryAfterSeconds?: number | undefined;
      cause?: unknown;
      advice?: string;
    },
  ) {
    super(code, message, {
      ...(detail.cause === undefined ? {} : { cause: detail.cause }),
      ...(detail.advice === undefined ? {} : { advice: detail.advice }),
    });
    this.status = detail.status;
    this.reason = detail.reason ?? '';
    this.retryAfterSeconds = detail.retryAfterSeconds;
  }
}

/** True when `error` is a KubeError with this code. */
export function isKubeError(error: unknown, code: KubeErrorCode): error is KubeError {
  return error instanceof KubeError && error.code === code;
}

interface StatusBody {
  readonly message?: unknown;
  readonly reason?: unknown;
}

/** Makes the error for an answer outside 200–299. `body` is the answer's text, a `Status` object if the server is well. */
export function errorFromAnswer(what: string, status: number, body: string, retryAfter: string | undefined): KubeError {
  let parsed: StatusBody = {};
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null) parsed = value;
  } catch {
    // Not JSON: a proxy's page. Its beginning is shown instead.
  }
  const message =
    typeof parsed.message === 'string' && parsed.message !== '' ? parsed.message : body.slice(0, 200).trim();
  const reason = typeof parsed.reason === 'string' ? parsed.reason : '';
  const seconds = retryAfter === undefined ? Number.NaN : Number(retryAfter);
  const [code, advice] = meaning(status, reason);
  return new KubeError(code, `${what}: ${message === '' ? `status ${status}` : message}`, {
    status,
    reason,
    retryAfterSeconds: Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined,
    ...(advice === undefined ? {} : { advice }),
  });
}

function meaning(status: number, reason: string): [KubeErrorCode, string | undefined] {
  switch (status) {
    case 401:
      return ['KUBE_UNAUTHORIZED', 'the token or certificate of this client was not accepted: check the kubeconfig'];
    case 403:
      return ['KUBE_FORBIDDEN', 'the role bound to this service account does not allow it: check RBAC'];
    case 404:
      return ['KUBE_NOT_FOUND', undefined];
    case 409:
      return ['KUBE_CONFLICT', undefined];
    case 410:
      return ['KUBE_GONE', undefined];
    case 422:
      return ['KUBE_INVALID', undefined];
    case 429:
    case 503:
    case 504:
      return ['KUBE_BUSY', undefined];
    default:
      return [reason === 'Expired' ? 'KUBE_GONE' : 'KUBE_REFUSED', undefined];
  }
}
