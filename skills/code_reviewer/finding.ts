export type Severity = 'high' | 'medium' | 'low' | 'info';

/** Something that a reader of the code would speak of. Lines and columns count from 1. */
export type Finding = {
  line: number;
  column: number;
  rule: string;
  severity: Severity;
  category: Category;
  message: string;
};
export type Category = 'security' | 'correctness' | 'maintainability' | 'style';

/** A function with how many ways lead through it, and how deep what is in it stands. */
export type FunctionFigures = {
  name: string;
  line: number;
  lines: number;
  parameters: number;
  complexity: number;
  nesting: number;
};

export type Review = {
  syntaxError?: { line: number; column: number; message: string } | undefined;
  findings: Finding[];
  functions: FunctionFigures[];
  classes: number;
  imports: number;
};

const LONG_FUNCTION = 60;
const MANY_PARAMETERS = 6;
const TANGLED = 10;
const VERY_TANGLED = 20;
const DEEP = 4;

/** What the size and the shape of functions give reason to say, in whatever language they are. */
export const shapeFindings = (functions: readonly FunctionFigures[]): Finding[] =>
  functions.flatMap(({ name, line, lines, parameters, complexity, nesting }) => {
    const say = (rule: string, severity: Severity, message: string): Finding => ({
      line,
      column: 1,
      rule,
      severity,
      category: 'maintainability',
      message,
    });
    return [
      ...(complexity > TANGLED
        ? [
            say(
              'complexity',
              complexity > VERY_TANGLED ? 'medium' : 'low',
              `${name} has ${complexity} ways through it: split it`,
            ),
          ]
        : []),
      ...(lines > LONG_FUNCTION ? [say('long-function', 'low', `${name} has ${lines} lines: split it`)] : []),
      ...(parameters > MANY_PARAMETERS
        ? [say('many-parameters', 'low', `${name} takes ${parameters} parameters: take an object`)]
        : []),
      ...(nesting > DEEP ? [say('deep-nesting', 'low', `${name} is nested ${nesting} deep: return early`)] : []),
    ];
  });
