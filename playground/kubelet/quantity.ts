// SPDX-License-Identifier: Apache-2.0
// Kubernetes quantities (`100m`, `512Mi`, `2`) as numbers.
import { AmbitError } from '#lib/kit/error.ts';

const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** The number a quantity stands for (apimachinery, resource.Quantity). Throws `QUANTITY` when it is none. */
export function parseQuantity(text: string): number {
  const match = /^([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)([A-Za-z]{0,2})$/.exec(text);
  const unit = SUFFIXES[match?.[2] ?? '?'];
  if (match === null || unit === undefined) {
    throw new AmbitError('QUANTITY', `${JSON.stringify(text)} is no quantity`, {
      advice: 'write for example 100m or 512Mi',
    });
  }
  // Rounded to a billionth, so that 0.1 * 10 is one.
  return Math.round(Number(match[1]) * unit * 1e9) / 1e9;
}
