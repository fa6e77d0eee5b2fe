import { Lexer } from 'yaml';

/** Of lists and maps within each other. Some thousands of them are the end of the process, not of the file alone. */
export const MAX_LEVELS = 100;
/** Each level of a block stands at least one column further in; exports take two. */
const MAX_COLUMNS = 4 * MAX_LEVELS;
/** The lexer announces by this that what follows is a value, so that its characters are no brackets. */
const NEXT_IS_VALUE = '\x1f';

/** The line, from 1, at which a text is nested too deeply to be parsed; null when it is not. Takes no stack to find out. */
export function tooDeepAt(text: string): number | null {
  // `pairs`: colons since the last comma or bracket of a flow, each of which would hold what follows it.
  let [line, column, open, pairs] = [1, 0, 0, 0];
  let isValue = false;
  for (const lexeme of new Lexer().lex(text)) {
    const isMark = !isValue && lexeme.length === 1;
    if (isMark && '[{]},'.includes(lexeme)) {
      pairs = 0;
      open += '[{'.includes(lexeme) ? 1 : lexeme === ',' ? 0 : -1;
    }
    if (isMark && open > 0 && lexeme === ':') pairs++;
    if (open > MAX_LEVELS || pairs > MAX_LEVELS) return line;
    if (open === 0 && column > MAX_COLUMNS && isMark && '-?:'.includes(lexeme)) return line;
    if (open === 0 && column === 0 && lexeme.length > MAX_COLUMNS && lexeme.trim() === '') return line;
    isValue = lexeme === NEXT_IS_VALUE;
    const lastBreak = lexeme.lastIndexOf('\n');
    if (lastBreak >= 0) line += lexeme.split('\n').length - 1;
    column = lastBreak >= 0 ? lexeme.length - lastBreak - 1 : column + lexeme.length;
  }
  return null;
}
