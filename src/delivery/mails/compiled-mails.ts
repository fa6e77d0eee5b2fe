import { createHash } from 'node:crypto';
import { relative } from 'node:path';
import type { OutsideSheet } from './outside-styles.js';

/** Its variables are still open. */
interface CompiledMail extends Record<'subject' | 'html' | 'text', string> {
  outside?: readonly OutsideSheet[];
}

export interface SourceFile {
  /** The folder of all templates. */
  folder: string;
  path: string;
  source: string;
}

/** Some hundred mails. */
const MOST_CHARACTERS = 8_000_000;

/**
 * Mails that were compiled, by all that they are made of: a mail and what it includes, each with its path below the folder
 * of templates. Which folder that is makes no difference. Keeps the youngest.
 */
export class CompiledMails {
  private readonly mails = new Map<string, CompiledMail>();
  private characters = 0;

  constructor(private readonly mostCharacters = MOST_CHARACTERS) {}

  get(files: readonly SourceFile[]): CompiledMail | undefined {
    return this.mails.get(keyOf(files));
  }

  keep(files: readonly SourceFile[], mail: CompiledMail): void {
    const key = keyOf(files);
    this.forget(key);
    this.mails.set(key, mail);
    this.characters += lengthOf(mail);
    for (const oldest of this.mails.keys()) {
      if (this.characters <= this.mostCharacters) return;
      this.forget(oldest);
    }
  }

  private forget(key: string): void {
    const mail = this.mails.get(key);
    if (mail === undefined) return;
    this.mails.delete(key);
    this.characters -= lengthOf(mail);
  }
}

function keyOf(files: readonly SourceFile[]): string {
  const hash = createHash('sha256');
  for (const { folder, path, source } of files) hash.update(JSON.stringify([relative(folder, path), source]));
  return hash.digest('base64');
}

function lengthOf({ subject, html, text }: CompiledMail): number {
  return subject.length + html.length + text.length;
}
