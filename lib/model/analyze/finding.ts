// SPDX-License-Identifier: Apache-2.0
//
// What `ambit analyze` says of an object, under the codes that Istio's users know and look up.

import type { FileProblem } from '../validate/files.ts';

export const LEVELS = ['Info', 'Warning', 'Error'] as const;
export type Level = (typeof LEVELS)[number];

/** Codes in use, with their names. */
export const CODES = {
  IST0101: 'ReferencedResourceNotFound',
  IST0106: 'SchemaValidationError',
  IST0118: 'PortNameIsNotUnderNamingConvention',
  IST0125: 'InvalidAnnotation',
  IST0127: 'NoMatchingWorkloadsFound',
  IST0145: 'ConflictingGateways',
  IST0149: 'JwtClaimBasedRoutingWithoutRequestAuthN',
  IST0156: 'UnsupportedGatewayAPIVersion',
  IST0157: 'InvalidTelemetryProvider',
  IST0159: 'ConflictingTelemetryWorkloadSelectors',
  IST0160: 'MultipleTelemetriesWithoutWorkloadSelectors',
  IST0161: 'InvalidGatewayCredential',
  IST0162: 'GatewayPortNotDefinedOnService',
  IST0165: 'ReferencedInternalGateway',
  IST0166: 'IneffectiveSelector',
  IST0167: 'IneffectivePolicy',
  IST0170: 'MultiClusterInconsistentService',
  IST0171: 'NegativeConditionStatus',
  IST0173: 'DestinationRuleSubsetNotSelectPods',
  IST0174: 'UnknownDestinationRuleHost',
  IST0175: 'JwksUriFetchUnrestricted',
  IST0176: 'GatewayAPICRDVersionBelowMinimum',
  IST0177: 'ConflictingServiceEntryProtocol',
} as const;
export type Code = keyof typeof CODES;

export interface Finding {
  readonly code: Code;
  readonly level: Level;
  /** `Kind namespace/name`; '' for text that is no object. */
  readonly object: string;
  readonly message: string;
  /** `FILE:LINE` where it was read from a file. */
  readonly reference: string;
}

/** A problem of validation under its code. */
export function findingOf(problem: FileProblem): Finding {
  const { code, field, file, fix, line, message, object, severity } = problem;
  const text = [field === '' ? '' : `${field}: `, message, fix === undefined ? '' : `; ${fix}`].join('');
  const reference = file === '' ? '' : `${file}:${line}`;
  const level = severity === 'error' ? 'Error' : 'Warning';
  const found = (as: Code, at: Level): Finding => ({ code: as, level: at, object, message: text, reference });
  if (field.startsWith('metadata.annotations')) return found('IST0125', 'Warning');
  switch (code) {
    case 'ReferenceNotFound':
      return found('IST0101', 'Error');
    case 'NothingSelected':
      return found('IST0127', 'Warning');
    case 'ProviderNotUsable':
      return found('IST0157', 'Warning');
    case 'NeedsWaypoint':
    case 'WaypointNotBound':
    case 'UnsupportedValue':
    case 'WiderThanMeant':
      return found('IST0167', 'Warning');
    default:
      return found('IST0106', level);
  }
}

/** Whether `level` is at least `threshold`. */
export function reaches(level: Level, threshold: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(threshold);
}
