// SPDX-License-Identifier: Apache-2.0
// `ambit tag`: names that lead to a revision of the control plane and can be moved to another one. Namespaces and
// Gateways carry the name, so an upgrade is one command and no relabelling.

import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { AmbitError } from '#lib/kit/error.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import {
  MUTATING_WEBHOOK_CONFIGURATION,
  NAMESPACE,
  POD,
  SERVICE,
  VALIDATING_WEBHOOK_CONFIGURATION,
} from '#lib/kube/kind.ts';
import type { WebhookConfiguration } from '#lib/kube/object.ts';
import { type GlobalOptions, withClient } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { table } from '../print/table.ts';
import { DEFAULT_VALIDATOR, REVISION, TAG, tagObjects, tagService, tagWebhook, withRevision } from '../tag/objects.ts';

const FIELD_MANAGER = 'ambit-cli';
const DEFAULT = 'default';

interface SetOptions {
  readonly revision: string;
  readonly overwrite?: boolean;
}

export function tagCommand(io: CliIo): Command {
  const command = new Command('tag').description('names for revisions of the control plane');
  for (const part of [set(io), generate(io), list(io), remove(io)]) command.addCommand(part);
  return command;
}

function set(io: CliIo): Command {
  const command = new Command('set')
    .argument('<tag>', 'the name; default has all that names no revision')
    .description('make a tag, or move it to another revision')
    .requiredOption('-r, --revision <revision>', 'where it leads')
    .option('--overwrite', 'also when it leads elsewhere now');
  return command.action(async (tag: string, { overwrite, revision }: SetOptions) => {
    const { istioNamespace } = command.optsWithGlobals<GlobalOptions>();
    await withClient(command, async (client) => {
      await checkRevision(client, istioNamespace, tag, revision);
      const found = await client.get(MUTATING_WEBHOOK_CONFIGURATION, tagWebhook(tag));
      const leads = found?.metadata.labels?.[REVISION];
      if (leads !== undefined && leads !== revision && overwrite !== true) {
        throw new AmbitError('TAG_IN_USE', `tag ${tag} leads to revision ${leads}`, {
          advice: 'give --overwrite to move it',
        });
      }
      const { service, webhook } = tagObjects(tag, revision, istioNamespace);
      const how = { fieldManager: FIELD_MANAGER, force: true };
      await client.apply(SERVICE, service, how);
      await client.apply(MUTATING_WEBHOOK_CONFIGURATION, webhook, how);
      if (tag === DEFAULT) await moveValidator(client, revision);
      io.out(`tag ${tag} leads to revision ${revision}\n`);
    });
  });
}

/** A tag that leads nowhere leaves what carries it without a control plane. */
async function checkRevision(client: KubeClient, namespace: string, tag: string, revision: string): Promise<void> {
  const running = async (name: string): Promise<boolean> =>
    (await client.list(POD, { namespace, labelSelector: `app=istiod,${REVISION}=${name}` })).items.length > 0;
  if (!(await running(revision))) {
    throw new AmbitError('REVISION_NOT_FOUND', `no istiod of revision ${revision} runs in ${namespace}`, {
      advice: `start one with REVISION=${revision} and the label ${REVISION} on its pods`,
    });
  }
  if (tag !== DEFAULT && (await running(tag))) {
    throw new AmbitError('TAG_IN_USE', `${tag} is a revision itself`, { advice: 'choose another name for the tag' });
  }
}

/** Objects without a revision are validated by the default one. */
async function moveValidator(client: KubeClient, revision: string): Promise<void> {
  const found = await client.get<WebhookConfiguration>(VALIDATING_WEBHOOK_CONFIGURATION, { name: DEFAULT_VALIDATOR });
  if (found !== undefined) await client.update(VALIDATING_WEBHOOK_CONFIGURATION, withRevision(found, revision));
}

function generate(io: CliIo): Command {
  const command = new Command('generate')
    .argument('<tag>')
    .description('print the objects that set would apply')
    .requiredOption('-r, --revision <revision>', 'where it leads');
  return command.action((tag: string, { revision }: SetOptions) => {
    const { istioNamespace } = command.optsWithGlobals<GlobalOptions>();
    const { service, webhook } = tagObjects(tag, revision, istioNamespace);
    io.out(`${stringify(webhook)}---\n${stringify(service)}`);
  });
}

function list(io: CliIo): Command {
  const command = new Command('list')
    .alias('show')
    .description('show tags, where they lead, and the namespaces that name them')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'));
  return command.action(async ({ output }: { readonly output: string }) => {
    const rows = await withClient(command, async (client) => {
      const { items } = await client.list(MUTATING_WEBHOOK_CONFIGURATION, { labelSelector: TAG });
      const namespaces = (await client.list(NAMESPACE)).items;
      return items
        .map(({ metadata }) => {
          const { [TAG]: tag = '', [REVISION]: revision = '' } = metadata.labels ?? {};
          const named = namespaces.filter((space) => space.metadata.labels?.[REVISION] === tag);
          return { tag, revision, namespaces: named.map((space) => space.metadata.name).sort() };
        })
        .sort((a, b) => (a.tag < b.tag ? -1 : 1));
    });
    if (output === 'json') io.out(`${JSON.stringify(rows, null, 2)}\n`);
    else if (rows.length === 0) io.out('No revision tags found.\n');
    else {
      const cells = rows.map(({ namespaces, revision, tag }) => [tag, revision, namespaces.join(',')]);
      io.out(table(['TAG', 'REVISION', 'NAMESPACES'], cells));
    }
  });
}

function remove(io: CliIo): Command {
  const command = new Command('remove')
    .argument('<tag>')
    .description('remove a tag')
    .option('-y, --skip-confirmation', 'also when namespaces name it');
  return command.action(async (tag: string, options: { readonly skipConfirmation?: boolean }) => {
    const { istioNamespace } = command.optsWithGlobals<GlobalOptions>();
    await withClient(command, async (client) => {
      const found = await client.get(MUTATING_WEBHOOK_CONFIGURATION, tagWebhook(tag));
      if (found === undefined) {
        throw new AmbitError('TAG_NOT_FOUND', `there is no tag ${tag}`, { advice: 'see ambit tag list' });
      }
      const { items } = await client.list(NAMESPACE, { labelSelector: `${REVISION}=${tag}` });
      if (items.length > 0 && options.skipConfirmation !== true) {
        const names = items.map(({ metadata }) => metadata.name).join(', ');
        throw new AmbitError('TAG_IN_USE', `${names} would be without a control plane`, {
          advice: 'label them with another revision, or give -y',
        });
      }
      await client.delete(MUTATING_WEBHOOK_CONFIGURATION, tagWebhook(tag));
      await client.delete(SERVICE, { namespace: istioNamespace, ...tagService(tag) });
      io.out(`tag ${tag} removed\n`);
    });
  });
}
