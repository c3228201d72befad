import type { MachineId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { MAX_CONFIG_BYTES, readConfig } from './config.ts';
import type { BuildDeps } from './build.ts';
import { namesIn } from './dockerfile.ts';
import { BASE, MAX_ARCHIVE_BYTES, MAX_DOCKERFILE_LENGTH, type Image, type ImageConfig } from './image.ts';
import { readyImages } from './image-store.ts';
import {
  BUILT_TREE_FILE,
  buildDockerfile,
  configFile,
  CONTEXT,
  DOCKERFILE,
  exportBuilt,
  LOCAL_CONFIG,
  LOCAL_TREE,
  localImage,
  packCommand,
  readArchive,
  readRegistry,
  REGISTRIES,
  registriesFile,
  setUp,
  showConfig,
  showFile,
  SOURCE,
  unpackContext,
  unpackLayers,
  UNPACKED_TREE,
} from './recipes.ts';
import { writeBounded } from './shelf.ts';
import { openWorkshop, type Workshop } from './workshop.ts';

const NO_CONFIG: ImageConfig = { env: {}, workdir: undefined, user: undefined, entrypoint: [], cmd: [] };

type Making = { image: Image; machineId: MachineId; tell: (text: string) => void };

/** Makes an image in a machine and leaves its tree as a draft's archive. Answers what it says of its processes. */
export async function makeImage(deps: BuildDeps, op: Op, { image, machineId, tell }: Making): Promise<ImageConfig> {
  tell('Preparing the machine in which the image is made.\n');
  const { archive } = await deps.shelf.draft({ id: image.id, machineId });
  await deps.shelf.prepareBuilder();
  const workshop = await openWorkshop(
    { machines: deps.machines, op, id: machineId, tell },
    { accountId: image.accountId, imageId: image.id },
  );
  await workshop.work(setUp);
  if (deps.insecureRegistries.length > 0) await workshop.put(REGISTRIES, once(registriesFile(deps.insecureRegistries)));
  const tree = await treeOf(deps, workshop, { image, machineId, tell });
  const config = readConfig(await workshop.ask(showConfig, MAX_CONFIG_BYTES));
  tell('Packing.\n');
  await writeBounded(archive, workshop.take(packCommand(tree)), MAX_ARCHIVE_BYTES);
  return config;
}

/** Where in the machine the image's tree is, once it is there. */
async function treeOf(deps: BuildDeps, workshop: Workshop, making: Making): Promise<string> {
  const { image } = making;
  const { source } = image;
  switch (source.kind) {
    case 'registry':
      await workshop.work(readRegistry(source.reference));
      await workshop.work(unpackLayers);
      return UNPACKED_TREE;
    case 'archive':
      await workshop.put(SOURCE, deps.shelf.source(image.id));
      await workshop.work(readArchive);
      await workshop.work(unpackLayers);
      return UNPACKED_TREE;
    case 'dockerfile':
      await workshop.put(DOCKERFILE, once(source.text));
      if (source.hasContext) await workshop.put(SOURCE, deps.shelf.source(image.id));
      return buildIn(deps, workshop, making, DOCKERFILE);
    case 'context':
      await workshop.put(SOURCE, deps.shelf.source(image.id));
      return buildIn(deps, workshop, making, `${CONTEXT}/${source.dockerfile}`);
  }
}

async function buildIn(
  deps: BuildDeps,
  workshop: Workshop,
  { image, machineId, tell }: Making,
  dockerfile: string,
): Promise<string> {
  const draft = { id: image.id, machineId };
  await workshop.work(unpackContext);
  const names = namesIn(await workshop.ask(showFile(dockerfile), MAX_DOCKERFILE_LENGTH));
  const own = await readyImages(deps.db, image.accountId, names);
  const local = [
    ...(names.includes(BASE) ? [{ name: BASE, key: BASE, config: NO_CONFIG }] : []),
    ...own.map(({ name, id, config = NO_CONFIG }) => ({ name, key: id, config })),
  ];
  for (const { name, key, config } of local) {
    tell(`Bringing the image ${name}.\n`);
    await deps.shelf.packed(key, draft, (content) => workshop.put(LOCAL_TREE, content));
    await workshop.put(LOCAL_CONFIG, once(configFile(config)));
    await workshop.work(localImage(name));
  }
  await workshop.work(buildDockerfile(dockerfile));
  for (const command of exportBuilt) await workshop.work(command);
  return BUILT_TREE_FILE;
}

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}
