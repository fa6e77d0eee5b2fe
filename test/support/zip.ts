import { crc32, deflateRawSync } from 'node:zlib';

/** A ZIP archive of the texts by name, deflated; `spoil` changes the entry that the directory describes. */
export function zipOf(
  files: Readonly<Record<string, string>>,
  spoil: (name: string) => { method?: number; flags?: number; bytes?: number; crc32?: number } = () => ({}),
): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, text] of Object.entries(files)) {
    const data = Buffer.from(text);
    const packed = deflateRawSync(data);
    const { method = 8, flags = 0, bytes = data.length, crc32: sum = crc32(data) } = spoil(name);
    const common = Buffer.alloc(26);
    for (const [value, place, width] of [
      ...[
        [20, 0, 2],
        [flags, 2, 2],
        [method, 4, 2],
        [sum, 10, 4],
        [packed.length, 14, 4],
        [bytes, 18, 4],
      ],
      [Buffer.byteLength(name), 22, 2],
    ] as const)
      common.writeUIntLE(value ?? 0, place ?? 0, width ?? 2);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(at, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, rest, Buffer.from(name)]));
    parts.push(local);
    at += local.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  const central = Buffer.concat(directory);
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, central, end]);
}
