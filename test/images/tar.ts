/** One member of a tar, as a hostile hand may write it. */
export type Member = {
  name: string;
  /** A `name` is the whole name of the member that follows. */
  kind?: 'file' | 'symlink' | 'directory' | 'character' | 'block' | 'name';
  mode?: number;
  uid?: number;
  content?: string;
  target?: string;
  device?: [major: number, minor: number];
};

const BLOCK = 512;
const TYPE = { file: '0', symlink: '2', character: '3', block: '4', directory: '5', name: 'L' } as const;
const CHECKSUM_AT = 148;

/** A tar in the ustar format, with names and numbers exactly as given. */
export const tarOf = (members: Member[]): Buffer =>
  Buffer.concat([...members.flatMap(member), Buffer.alloc(2 * BLOCK)]);

/** A member of any length of name. */
export const longNamed = (name: string, rest: Omit<Member, 'name'> = {}): Member[] => [
  { name: '././@LongLink', kind: 'name', content: `${name}\0` },
  { ...rest, name: name.slice(0, 99) },
];

function member(given: Member): Buffer[] {
  const { kind = 'file', content = '' } = given;
  const body = Buffer.from(kind === 'file' || kind === 'name' ? content : '');
  return [headOf(given, body.length), body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)];
}

/** What stands before so many bytes of a member. */
export function headOf(
  { name, kind = 'file', mode = 0o755, uid = 0, target = '', device = [0, 0] }: Member,
  length: number,
): Buffer {
  const header = Buffer.alloc(BLOCK);
  const number = (value: number, at: number, digits: number) =>
    header.write(value.toString(8).padStart(digits - 1, '0'), at, 'latin1');
  header.write(name, 0, 100, 'latin1');
  number(mode, 100, 8);
  number(uid, 108, 8);
  number(uid, 116, 8);
  number(length, 124, 12);
  number(0, 136, 12);
  header.write(TYPE[kind], 156, 'latin1');
  header.write(target, 157, 100, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  number(device[0], 329, 8);
  number(device[1], 337, 8);
  header.fill(' ', CHECKSUM_AT, CHECKSUM_AT + 8);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, CHECKSUM_AT, 'latin1');
  return header;
}
