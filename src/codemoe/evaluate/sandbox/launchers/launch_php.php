// Runs a candidate, then its tests; started with `php -r`. The nonce stays in a variable of this
// function, which no other code can read, and is written when the tests have returned.
(static function (): void {
    [$nonce, $fd, $size] = explode(' ', trim(fgets(STDIN)));
    $rest = stream_get_contents(STDIN);
    $program = substr($rest, 0, (int) $size);
    $tests = substr($rest, (int) $size);
    unset($rest);
    fclose(STDIN);
    $result = fopen("php://fd/$fd", 'w');
    fwrite($result, "S\n");
    $say = static function (string $kind, string $text) use ($result): void {
        fwrite($result, $kind . ' ' . str_replace("\n", ' ', substr($text, 0, 600)) . "\n");
    };
    $runProgram = static function () use ($program): void { eval('?>' . $program); };
    $runTests = static function () use ($tests): void { eval($tests); };
    unset($program, $tests);
    $inTests = false;
    try {
        $runProgram();
        $inTests = true;
        $runTests();
    } catch (\Throwable $error) {
        $own = in_array(get_class($error), ['Exception', 'AssertionError'], true)
            && str_contains($error->getFile(), "eval()'d code") && $inTests;
        $say($own ? 'F' : 'E', get_class($error) . ': ' . $error->getMessage());
        exit(1);
    }
    fflush(STDOUT);
    fwrite($result, "P $nonce\n");
})();
