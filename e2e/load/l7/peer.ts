// SPDX-License-Identifier: Apache-2.0
// A proxy of the layer-7 benchmark, and what it is asked to be.
import type { Background } from '../../harness/run.ts';

export interface L7Setting {
  readonly routes: number;
  /** Number of the first of them; 0 unless told. */
  readonly first?: number;
  /** Access policy, metrics and access log, too. */
  readonly policy: boolean;
  /** As a waypoint: requests come by HBONE and go on by HBONE. */
  readonly mesh?: boolean;
}

export interface L7Peer {
  readonly name: string;
  /** Whether it can do what the setting asks. */
  readonly takes: (setting: L7Setting) => boolean;
  /** Starts on that port; HTTP/2 without TLS is served on the next one, where one port cannot serve both. */
  readonly start: (port: number, upstream: number, setting: L7Setting, folder: string) => Background;
  /** Processes of that setting, whose figures count as one's; 1 if it says nothing. */
  readonly processes?: (setting: L7Setting) => number;
  /** Port for HTTP/2. */
  readonly h2Port: (port: number) => number;
}
