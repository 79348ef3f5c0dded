// SPDX-License-Identifier: Apache-2.0
//
// Durations of configuration: Gateway API's (GEP-2257, `1h30m`) and Istio's (protobuf JSON, `1.5s`, which users also
// write as `500ms`), in milliseconds.

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** `10s`, `1h2m3s4ms`; at most four parts of at most five digits. undefined for anything else. */
export function gatewayDuration(text: string): number | undefined {
  if (!/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(text)) return undefined;
  return sum(text);
}

/** As above, with fractions. undefined for anything else. */
export function istioDuration(text: string): number | undefined {
  if (!/^([0-9]+(\.[0-9]*)?(h|m|s|ms|us|µs|ns))+$/.test(text)) return undefined;
  return Math.round(sum(text));
}

function sum(text: string): number {
  let total = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(/([0-9.]+)(h|ms|m|us|µs|ns|s)/g)) {
    total += Number(amount) * (UNITS[unit] ?? (unit === 'ns' ? 1e-6 : 1e-3));
  }
  return total;
}
