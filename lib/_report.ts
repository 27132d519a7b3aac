/** Report: wraps a function of the program, such as its log, so that its errors are written to standard error. */

/**
 * Wraps a function. If it throws, or its promise rejects, the error is written to standard error. Neither the request
 * nor the process fails.
 *
 * @param name The function's name in the report, such as `The log of sessions`.
 * @param fn The program's function.
 */
export function withErrorReport<Args extends unknown[]>(
  name: string,
  fn: (...args: Args) => unknown,
): (...args: Args) => void {
  const report = (error: unknown) => console.error(`${name} failed:`, error);
  return (...args) => {
    try {
      const result = fn(...args);
      if (result instanceof Promise) result.catch(report);
    } catch (error) {
      report(error);
    }
  };
}
