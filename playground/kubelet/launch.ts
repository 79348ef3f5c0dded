// SPDX-License-Identifier: Apache-2.0
// How a container's process comes to be: joins the pod's cgroup and network, gets PID, mount and host name namespaces of
// its own, enters its root file system, gives up users and capabilities, and only then becomes the program.
import { AmbitError } from '#lib/kit/error.ts';
import type { PodSecurityContext, SecurityContext } from './pod.ts';

/** What a container may do by default; the list that containerd and Docker give. */
const DEFAULT_CAPABILITIES = [
  ...['audit_write', 'chown', 'dac_override', 'fowner', 'fsetid', 'kill', 'mknod', 'net_bind_service', 'net_raw'],
  ...['setfcap', 'setgid', 'setpcap', 'setuid', 'sys_chroot'],
] as const;

// The outer half: $1 cgroup.procs or '', the rest is the command. A process joins before it is anything else.
export const JOIN = `[ -z "$1" ] || echo 0 > "$1" || exit 125
shift
exec "$@"`;

// The inner half, process 1 of the container: $1 mount table, $2 new root, $3 host name or '', $4 '1' for a read-only
// root, $5 working directory; the rest is the command. Descriptor 3 tells what went wrong before the command could run,
// or STARTED. (It cannot tell by being closed: the process that waits for this one has it open too.)
export const STARTED = 'started\n';
export const ENTER = `set -e
exec 4>&2 2>&3
/bin/mount --make-rslave /
/bin/mount -a -T "$1"
cd "$2"
/sbin/pivot_root . .
/bin/umount -l .
cd /
[ -z "$3" ] || /bin/hostname "$3"
[ "$4" != 1 ] || /bin/mount -o remount,bind,ro /
cd "$5"
shift 5
exec 2>&4 4>&-
echo started >&3
exec "$@" 3>&-`;

export interface Privileges {
  readonly user: number;
  readonly group: number;
  readonly groups: readonly number[];
  /** Undefined: all, as for a privileged container. */
  readonly capabilities: readonly string[] | undefined;
  readonly noNewPrivileges: boolean;
}

/**
 * The user, groups and capabilities of a container; the container's security context wins over the pod's.
 * Throws `RUN_AS_NON_ROOT` when the context forbids the root user that the container would have.
 */
export function privilegesOf(
  pod: PodSecurityContext = {},
  container: SecurityContext = {},
  imageUser: number | undefined = undefined,
): Privileges {
  const user = container.runAsUser ?? pod.runAsUser ?? imageUser ?? 0;
  const group = container.runAsGroup ?? pod.runAsGroup ?? 0;
  if (user === 0 && (container.runAsNonRoot ?? pod.runAsNonRoot) === true) {
    throw new AmbitError('RUN_AS_NON_ROOT', 'container has runAsNonRoot and would run as root', {
      advice: 'set securityContext.runAsUser',
    });
  }
  const groups = [...(pod.supplementalGroups ?? []), ...(pod.fsGroup === undefined ? [] : [pod.fsGroup])];
  return {
    user,
    group,
    groups,
    capabilities: container.privileged === true ? undefined : capabilitiesOf(container.capabilities),
    noNewPrivileges: container.allowPrivilegeEscalation === false,
  };
}

function capabilitiesOf(given: SecurityContext['capabilities'] = {}): readonly string[] | undefined {
  const plain = (names: readonly string[] = []): string[] =>
    names.map((name) => name.toLowerCase().replace(/^cap_/, ''));
  const drop = plain(given.drop);
  const add = plain(given.add);
  if (add.includes('all') && drop.length === 0) return undefined;
  const kept = drop.includes('all') ? [] : DEFAULT_CAPABILITIES.filter((name) => !drop.includes(name));
  return [...new Set([...kept, ...add.filter((name) => name !== 'all')])].sort();
}

/** The `setpriv` command line that takes on `privileges`; empty when nothing changes. `maySwitch`: users can be changed. */
export function setprivArguments(privileges: Privileges, maySwitch: boolean): string[] {
  const { user, group, groups, capabilities, noNewPrivileges } = privileges;
  const words: string[] = [];
  if (capabilities !== undefined) {
    words.push(`--bounding-set=${['-all', ...capabilities.map((name) => `+${name}`)].join(',')}`);
    words.push('--inh-caps=-all');
  }
  if (maySwitch) {
    if (user !== 0) words.push(`--reuid=${user}`);
    if (group !== 0) words.push(`--regid=${group}`);
    if (groups.length > 0) words.push(`--groups=${groups.join(',')}`);
    else if (user !== 0 || group !== 0) words.push('--clear-groups');
  }
  if (noNewPrivileges) words.push('--no-new-privs');
  return words.length === 0 ? [] : ['/usr/bin/setpriv', ...words, '--'];
}
