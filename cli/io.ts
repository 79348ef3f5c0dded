// SPDX-License-Identifier: Apache-2.0
// What a command may touch besides the cluster: it writes through here, so that a test reads what a person would.

export interface CliIo {
  readonly env: (name: string) => string | undefined;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether output goes to a terminal that shows colours. */
  readonly color: boolean;
}
