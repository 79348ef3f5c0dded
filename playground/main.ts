// SPDX-License-Identifier: Apache-2.0
// `ambit playground`: a cluster on this machine. One subcommand an action; everything about the cluster's objects goes
// through its Kubernetes API, with real kubectl.
import { spawn } from 'node:child_process';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import { runMain } from '#lib/kit/main.ts';
import { askControl } from './cluster/control.ts';
import type { Fault } from './cluster/faults.ts';
import { configsOf, stateRootOf, type UpFlags } from './config.ts';
import { PROGRAMS } from './image-map.ts';
import { runningCluster } from './state.ts';
import { clusterStatus, enterNode, statusText } from './status.ts';
import { upTogether } from './together.ts';
import { down, up } from './up.ts';

const project = join(import.meta.dirname, '..');

await runMain(async (argv, env) => {
  const root = stateRootOf(env);
  let status = 0;
  const program = new Command('ambit playground')
    .description('A Kubernetes cluster with the mesh, on this machine.')
    .enablePositionalOptions();
  const command = (text: string, about: string): Command =>
    program.command(text).description(about).option('--name <name>', 'name of the cluster', 'playground');
  const collect = (value: string, list: readonly string[]): readonly string[] => [...list, value];
  const kubectl = async (name: string, words: readonly string[]): Promise<void> => {
    const { paths } = runningCluster(root, name);
    const started = [join(project, 'playground/kubectl.ts'), ...words];
    status = await passOn(process.execPath, ['--disable-warning=ExperimentalWarning', ...started], {
      ...env,
      KUBECONFIG: paths.kubeconfig,
    });
  };

  command('up', 'build a cluster and install the mesh; returns when all is ready')
    .option('--nodes <n>', 'number of nodes, of each cluster', '2')
    .option('--machines <n>', 'number of machines beside the nodes, without Kubernetes: vm-1, vm-2, …', '0')
    .option('--clusters <n>', 'number of clusters, on one network and in one mesh', '1')
    .option('--program <name[@node]=command>', `replace ${PROGRAMS.join(', ')}, on one node or on all`, collect, [])
    .option('--image <image=command>', 'what an image name stands for; may be repeated', collect, [])
    .option('--manifest <file>', 'further objects to install with the cluster; may be repeated', collect, [])
    .option('--kubeconfig <file>', 'use another API server instead of the embedded one')
    .option('--no-mesh', 'leave the mesh out')
    .option('--keep', 'when it fails, leave everything for inspection', false)
    .option('--timeout <seconds>', 'how long everything may take to be ready', '120')
    .action(async (flags: UpFlags) => {
      const configs = configsOf(flags, env, project);
      const began = performance.now();
      const say = (line: string): void =>
        console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${line}`);
      const all = configs.length === 1 ? [await up(configs[0]!, say)] : await upTogether(configs, say);
      say('ready');
      for (const paths of all) {
        if (all.length > 1) console.log(`\n${basename(paths.dir)}`);
        console.log(`\n${await statusText(paths)}`);
      }
      console.log(`export KUBECONFIG=${all[0]?.kubeconfig}`);
    });
  command('down', 'end a cluster and remove everything of it').action(async ({ name }: { name: string }) => {
    console.log((await down(root, name)) ? `playground ${name} is gone` : `there is no playground named ${name}`);
  });
  command('status', 'nodes and pods of a cluster')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(async ({ name, output }: { name: string; output: string }) => {
      const { paths, record } = runningCluster(root, name);
      if (output === 'json') console.log(JSON.stringify(await clusterStatus(paths, record), null, 2));
      else console.log(await statusText(paths));
    });
  command('kubeconfig', 'print the path of the kubeconfig').action(({ name }: { name: string }) => {
    console.log(runningCluster(root, name).paths.kubeconfig);
  });
  command('kubectl [words...]', 'real kubectl against a cluster')
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action((words: readonly string[], { name }: { name: string }) => kubectl(name, words));
  command('exec <pod> <words...>', 'run a command in a pod: exec [NAMESPACE/]POD -- COMMAND')
    .passThroughOptions()
    .option('-c, --container <name>', 'container of the pod')
    .action((pod: string, words: readonly string[], { name, container }: { name: string; container?: string }) =>
      kubectl(name, [
        'exec',
        ...podWords(pod),
        ...(container === undefined ? [] : ['-c', container]),
        '--',
        ...bare(words),
      ]),
    );
  command('logs <pod>', 'the log of a pod: logs [NAMESPACE/]POD')
    .option('-f, --follow', 'go on as it grows', false)
    .option('-c, --container <name>', 'container of the pod')
    .option('--previous', 'of the run before', false)
    .action((pod: string, flags: { name: string; follow: boolean; container?: string; previous: boolean }) =>
      kubectl(flags.name, [
        ...['logs', ...podWords(pod)],
        ...(flags.follow ? ['-f'] : []),
        ...(flags.previous ? ['--previous'] : []),
        ...(flags.container === undefined ? [] : ['-c', flags.container]),
      ]),
    );
  command('node <node> <words...>', 'run a program on a node, in its namespaces: node NODE -- COMMAND')
    .passThroughOptions()
    .action(async (node: string, words: readonly string[], { name }: { name: string }) => {
      const { paths, record } = runningCluster(root, name);
      const [file, ...args] = await enterNode(paths, record, node, bare(words));
      status = await passOn(file!, args, env);
    });
  command('break <fault> <target>', 'kill PROGRAM|POD, cut NODE, slow NODE, join NODE, reboot NODE')
    .option('--node <node>', 'kill: only on this node')
    .option('--signal <signal>', 'kill: the signal', 'SIGKILL')
    .option('--rate <rate>', 'slow: what the link carries', '1mbit')
    .action(
      async (kind: string, target: string, flags: { name: string; node?: string; signal: string; rate: string }) => {
        const { paths } = runningCluster(root, flags.name);
        const { done } = await askControl<{ done: string }>(
          paths.control,
          'POST',
          '/break',
          faultOf(kind, target, flags),
        );
        console.log(done);
      },
    );
  await program.parseAsync([...argv], { from: 'user' });
  return status;
});

function faultOf(
  kind: string,
  target: string,
  { node, signal, rate }: { node?: string; signal: string; rate: string },
): Fault {
  switch (kind) {
    case 'kill':
      return { kind, target, signal: signal as NodeJS.Signals, ...(node === undefined ? {} : { node }) };
    case 'cut':
    case 'join':
    case 'reboot':
      return { kind, node: target };
    case 'slow':
      return { kind, node: target, rate };
    default:
      throw new AmbitError('PLAYGROUND_FAULT', `there is no fault ${kind}`, {
        advice: 'write kill, cut, join, slow or reboot',
      });
  }
}

/** The words after `--`, which stands among them when options may follow. */
function bare(words: readonly string[]): readonly string[] {
  return words[0] === '--' ? words.slice(1) : words;
}

function podWords(pod: string): string[] {
  const [namespace, name] = pod.includes('/') ? (pod.split(/\/(.*)/s) as [string, string]) : ['default', pod];
  return ['-n', namespace, name];
}

function passOn(file: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'inherit', env });
    child.once('error', (cause) => reject(new AmbitError('PLAYGROUND_START', `cannot start ${file}`, { cause })));
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 1 : 130)));
  });
}
