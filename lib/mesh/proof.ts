// SPDX-License-Identifier: Apache-2.0
//
// The proof beside a verdict: the steps that led to it. Decisions take a recorder and write to it only when it is
// enabled, so that the data plane, which passes NO_PROOF, builds no text and allocates nothing for it. One class for
// both keeps the call sites monomorphic.

/** One thing a decision looked at, in the order it looked. */
export interface Step {
  /** The object consulted, as `Kind namespace/name`, or what the step is about when there is no object. */
  readonly object: string;
  /** The part of the object: a rule, a field, a port. Empty when it is the whole. */
  readonly rule: string;
  /** The condition that was tested, in words. */
  readonly clause: string;
  /** What came of it. */
  readonly outcome: string;
  /** The smallest change that would have turned the outcome. Empty when there is none worth telling. */
  readonly whatWouldChange: string;
  /** How deep under the step before it this one belongs; 0 is a step of the decision itself. */
  readonly depth: number;
}

export class Recorder {
  /** Test this before composing a step. */
  readonly enabled: boolean;
  readonly steps: Step[] = [];

  constructor(enabled: boolean) {
    this.enabled = enabled;
  }

  step(object: string, rule: string, clause: string, outcome: string, whatWouldChange = '', depth = 0): void {
    if (this.enabled) this.steps.push({ object, rule, clause, outcome, whatWouldChange, depth });
  }
}

/** For the hot path: records nothing. */
export const NO_PROOF: Recorder = new Recorder(false);

/** A fresh recorder that keeps every step. */
export function recordProof(): Recorder {
  return new Recorder(true);
}

/** Steps as lines for people, two spaces of indent a level. */
export function formatProof(steps: readonly Step[]): string[] {
  const lines: string[] = [];
  for (const step of steps) {
    const indent = '  '.repeat(step.depth);
    const subject = step.rule === '' ? step.object : `${step.object}, ${step.rule}`;
    const clause = step.clause === '' ? '' : `${step.clause}: `;
    lines.push(`${indent}${subject}: ${clause}${step.outcome}`);
    if (step.whatWouldChange !== '') lines.push(`${indent}  → would change if: ${step.whatWouldChange}`);
  }
  return lines;
}
