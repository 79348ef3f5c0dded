// SPDX-License-Identifier: Apache-2.0
// SETTINGS: what we announce, what the peer announced (RFC 9113 section 6.5), and the limits of the engine that are
// not negotiated.
import { readUint32, SETTING_SIZE, writeSetting } from './frame.ts';
import { ErrorCode, INITIAL_WINDOW, MAX_31, MAX_MAX_FRAME, MIN_MAX_FRAME, SettingId } from './protocol.ts';

/** What one side of a connection announces and enforces. Sizes in octets. */
export interface H2Settings {
  /** Window every new stream starts with. */
  readonly initialWindowSize: number;
  /** Window of the whole connection, opened by WINDOW_UPDATE right after the preface. */
  readonly connectionWindow: number;
  readonly maxFrameSize: number;
  /** Enforced on what arrives, not only announced. */
  readonly maxHeaderListSize: number;
  /** HPACK table for the peer's headers. */
  readonly headerTableSize: number;
  /** Streams the peer may have open; undefined announces nothing (and a client's peer opens none). */
  readonly maxConcurrentStreams?: number;
  /** RFC 8441; server only. */
  readonly enableConnectProtocol?: boolean;
  /** Client only: streams to open at most before the server's SETTINGS came. */
  readonly assumedPeerStreams?: number;
  readonly limits?: Partial<H2Limits>;
}

/** Limits against floods. Budgets are counted in frames; see `FloodGuard`. */
export interface H2Limits {
  /** CONTINUATION frames of one header block. */
  readonly maxContinuations: number;
  /** Frames that carry no payload for an application and were not asked for: PING, SETTINGS, PRIORITY, empty DATA, … */
  readonly controlBurst: number;
  readonly controlPerSecond: number;
  /** Streams reset before they were answered, or because the peer broke their rules. */
  readonly resetBurst: number;
  readonly resetPerSecond: number;
  /** Of these, such as nothing had been done for: reset before they carried anything and before `H2Stream.begun`. */
  readonly idleResetBurst: number;
  readonly idleResetPerSecond: number;
  /** Of these, such as the peer broke the rules of. */
  readonly faultBurst: number;
  readonly faultPerSecond: number;
  /** Entries of one SETTINGS frame. */
  readonly maxSettings: number;
  /** Until the peer must have acknowledged our SETTINGS, milliseconds. */
  readonly settingsAckMs: number;
}

export const DEFAULT_LIMITS: H2Limits = Object.freeze({
  maxContinuations: 32,
  controlBurst: 1000,
  controlPerSecond: 500,
  resetBurst: 200,
  resetPerSecond: 100,
  idleResetBurst: 200,
  idleResetPerSecond: 100,
  faultBurst: 200,
  faultPerSecond: 100,
  maxSettings: 64,
  settingsAckMs: 10_000,
});

/** HBONE's values for the dialling side. */
export const HBONE_CLIENT: H2Settings = Object.freeze({
  initialWindowSize: 4 << 20,
  connectionWindow: 16 << 20,
  maxFrameSize: 1 << 20,
  maxHeaderListSize: 16_384,
  headerTableSize: 4096,
  assumedPeerStreams: 100,
});

/** HBONE's values for the accepting side (port 15008). */
export const HBONE_SERVER: H2Settings = Object.freeze({
  initialWindowSize: 4 << 20,
  connectionWindow: 16 << 20,
  maxFrameSize: 1 << 20,
  maxHeaderListSize: 65_536,
  headerTableSize: 4096,
  maxConcurrentStreams: 200,
});

/** Most octets `writeSettings` takes. */
export const SETTINGS_BOUND = 7 * SETTING_SIZE;

/** Writes the entries that differ from HTTP/2's defaults; returns the offset behind them. */
export function writeSettings(buffer: Buffer, offset: number, settings: H2Settings, client: boolean): number {
  let at = offset;
  if (settings.headerTableSize !== 4096)
    at = writeSetting(buffer, at, SettingId.headerTableSize, settings.headerTableSize);
  if (client) at = writeSetting(buffer, at, SettingId.enablePush, 0);
  if (settings.maxConcurrentStreams !== undefined)
    at = writeSetting(buffer, at, SettingId.maxConcurrentStreams, settings.maxConcurrentStreams);
  at = writeSetting(buffer, at, SettingId.initialWindowSize, settings.initialWindowSize);
  at = writeSetting(buffer, at, SettingId.maxFrameSize, settings.maxFrameSize);
  at = writeSetting(buffer, at, SettingId.maxHeaderListSize, settings.maxHeaderListSize);
  if (settings.enableConnectProtocol) at = writeSetting(buffer, at, SettingId.enableConnectProtocol, 1);
  return at;
}

/** What the peer announced; starts with HTTP/2's defaults. */
export class PeerSettings {
  headerTableSize = 4096;
  maxConcurrentStreams: number;
  initialWindowSize: number = INITIAL_WINDOW;
  maxFrameSize: number = MIN_MAX_FRAME;
  maxHeaderListSize: number = MAX_31;
  enableConnectProtocol = false;
  /** Its first SETTINGS have arrived. */
  received = false;
  /** It has acknowledged ours. */
  acknowledged = false;
  /** Why the last `apply` failed. */
  reason = '';

  constructor(assumedStreams: number) {
    this.maxConcurrentStreams = assumedStreams;
  }

  /** Takes over a SETTINGS payload; returns an error code, 0 if all entries are legal. Unknown ones are ignored. */
  apply(buffer: Buffer, start: number, end: number, fromServer: boolean): number {
    for (let at = start; at < end; at += SETTING_SIZE) {
      const id = (buffer[at]! << 8) | buffer[at + 1]!;
      const code = this.#set(id, readUint32(buffer, at + 2), fromServer);
      if (code !== ErrorCode.noError) return code;
    }
    return ErrorCode.noError;
  }

  #set(id: number, value: number, fromServer: boolean): number {
    switch (id) {
      case SettingId.headerTableSize:
        this.headerTableSize = value;
        break;
      case SettingId.enablePush:
        if (value > 1 || (fromServer && value !== 0)) return this.#bad(ErrorCode.protocolError, 'ENABLE_PUSH', value);
        break;
      case SettingId.maxConcurrentStreams:
        this.maxConcurrentStreams = Math.min(value, MAX_31);
        break;
      case SettingId.initialWindowSize:
        if (value > MAX_31) return this.#bad(ErrorCode.flowControlError, 'INITIAL_WINDOW_SIZE', value);
        this.initialWindowSize = value;
        break;
      case SettingId.maxFrameSize:
        if (value < MIN_MAX_FRAME || value > MAX_MAX_FRAME)
          return this.#bad(ErrorCode.protocolError, 'MAX_FRAME_SIZE', value);
        this.maxFrameSize = value;
        break;
      case SettingId.maxHeaderListSize:
        this.maxHeaderListSize = Math.min(value, MAX_31);
        break;
      case SettingId.enableConnectProtocol:
        if (value > 1 || (this.enableConnectProtocol && value === 0))
          return this.#bad(ErrorCode.protocolError, 'ENABLE_CONNECT_PROTOCOL', value);
        this.enableConnectProtocol = value === 1;
        break;
      default:
    }
    return ErrorCode.noError;
  }

  #bad(code: number, name: string, value: number): number {
    this.reason = `SETTINGS_${name} of ${value} is not allowed`;
    return code;
  }
}
