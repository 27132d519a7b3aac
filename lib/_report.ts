/** Report: wraps a program's functions, such as a log, so that a failure of them is reported and ends nothing. */

/**
 * Wraps a function. If it throws, or its promise rejects, standard error has a report, and neither the request nor the
 * process ends.
 *
 * @param name The function's name in the report, such as `The log of sessions`.
 * @param fn The function that the program gave.
 */
export function reported<Args extends unknown[]>(
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
