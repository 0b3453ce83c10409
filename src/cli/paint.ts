/** Colour, from a chalk of our own level: chalk's own detection ignores NO_COLOR. Loaded only to colour. */
import type { ColorLevel } from './io.js';

export interface Painter {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

const same = (text: string) => text;
const PLAIN: Painter = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

export async function painter(level: ColorLevel): Promise<Painter> {
  if (level === 0) return PLAIN;
  const { Chalk } = await import('chalk');
  return new Chalk({ level });
}
