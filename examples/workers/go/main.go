// A worker of an activity on the AWS SDK for Go v2: go run . ACTIVITY_ARN
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

func main() {
	// A poll whose answer was lost must not be repeated unseen.
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithRetryMaxAttempts(1))
	if err != nil {
		log.Fatal(err)
	}
	client := sfn.NewFromConfig(cfg)
	for {
		if err := work(context.Background(), client, os.Args[1]); err != nil {
			log.Print(err)
			time.Sleep(time.Second)
		}
	}
}

func work(ctx context.Context, client *sfn.Client, activity string) error {
	poll := &sfn.GetActivityTaskInput{ActivityArn: &activity, WorkerName: aws.String("go")}
	task, err := client.GetActivityTask(ctx, poll)
	if err != nil || aws.ToString(task.TaskToken) == "" {
		return err
	}
	var input struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal([]byte(aws.ToString(task.Input)), &input); err != nil {
		return err
	}
	if input.Name == "" {
		failure := &sfn.SendTaskFailureInput{TaskToken: task.TaskToken}
		failure.Error, failure.Cause = aws.String("NoName"), aws.String("Whom shall I greet?")
		_, err = client.SendTaskFailure(ctx, failure)
		return err
	}
	output, err := json.Marshal("Hello, " + input.Name + "!")
	if err != nil {
		return err
	}
	success := &sfn.SendTaskSuccessInput{TaskToken: task.TaskToken, Output: aws.String(string(output))}
	_, err = client.SendTaskSuccess(ctx, success)
	return err
}
