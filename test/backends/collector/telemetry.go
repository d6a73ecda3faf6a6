package main

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/service/telemetry"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// telemetryConfig holds the keys of `service.telemetry` that the files in otel-config use. Any other
// key is refused, as the Collector does.
type telemetryConfig struct {
	Logs struct {
		Level zapcore.Level `mapstructure:"level"`
	} `mapstructure:"logs"`
	Metrics struct {
		// Level is read and has no effect: this build has no metrics of its own.
		Level string `mapstructure:"level"`
	} `mapstructure:"metrics"`
}

// newTelemetryFactory writes the Collector's own log to standard error and has no other telemetry. The
// one that the released Collector uses brings cloud resource detectors along, and a third more to compile.
func newTelemetryFactory() telemetry.Factory {
	return telemetry.NewFactory(
		func() component.Config { return &telemetryConfig{} },
		telemetry.WithCreateLogger(createLogger),
	)
}

func createLogger(
	_ context.Context, settings telemetry.LoggerSettings, config component.Config,
) (*zap.Logger, component.ShutdownFunc, error) {
	zapConfig := zap.NewProductionConfig()
	zapConfig.Level = zap.NewAtomicLevelAt(config.(*telemetryConfig).Logs.Level)
	zapConfig.Encoding = "console"
	zapConfig.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	build := settings.BuildZapLogger
	if build == nil {
		build = zap.Config.Build
	}
	logger, err := build(zapConfig)
	return logger, nil, err
}
